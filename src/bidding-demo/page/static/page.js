// Page: connects to the unit, and gives what it says to the parts of the page.
// Owns: the connection and what is said of it. The messages are described in page-message.ts.
import { Campaigns } from "./campaigns.js";
import { Charts } from "./charts.js";
import { Counts } from "./counts.js";
import { Database } from "./database.js";
import { byId, setAttribute, setData, setText } from "./dom.js";
import { rate, timeOfDay } from "./format.js";
import { Headline } from "./headline.js";
import { Partitions } from "./partitions.js";

const name = "Orrery bidding demo";
/** A unit that says nothing for so long has stopped, or is frozen: connect anew. */
const silenceMsMax = 5000;
const retryMsMin = 500;
const retryMsMax = 4000;

const charts = new Charts();
const parts = [
  new Headline(),
  charts,
  new Database(),
  new Campaigns(),
  new Partitions(),
  new Counts(),
];
let newestMs = null;
let retryMs = retryMsMin;

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}/live`);
  let silence = setTimeout(giveUp, silenceMsMax);
  let ended = false;

  function giveUp() {
    if (ended) return;
    ended = true;
    clearTimeout(silence);
    socket.close();
    showConnection("lost");
    setTimeout(connect, retryMs);
    retryMs = Math.min(retryMsMax, retryMs * 2);
  }

  socket.addEventListener("close", giveUp);
  socket.addEventListener("message", ({ data }) => {
    if (ended) return;
    clearTimeout(silence);
    silence = setTimeout(giveUp, silenceMsMax);
    retryMs = retryMsMin;
    hear(JSON.parse(data));
  });
}

function hear(message) {
  if (message.kind === "trend") {
    charts.merge(message.points);
    return;
  }
  newestMs = message.timeMs;
  for (const part of parts) part.update(message);
  setData(byId("served-by"), String(message.servedBy), message.servedBy);
  setText(byId("time"), timeOfDay(message.timeMs));
  setAttribute(byId("main"), "aria-busy", "false");
  showConnection("live");
  const requests = message.rates === null ? "" : `${rate(message.rates.requests)} requests/s · `;
  document.title = `${requests}${name}`;
}

function showConnection(state) {
  const texts = {
    live: "Live",
    lost:
      newestMs === null
        ? "No answer yet; trying again"
        : `Reconnecting; numbers are of ${timeOfDay(newestMs)}`,
  };
  setAttribute(byId("connection"), "data-state", state);
  setAttribute(document.body, "data-state", state);
  setText(byId("connection-text"), texts[state]);
  if (state === "lost") document.title = `Reconnecting · ${name}`;
}

connect();
