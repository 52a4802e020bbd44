// Headline: the tiles at the top of the page.
import { budgetBar } from "./campaigns.js";
import { byId, setData, setText } from "./dom.js";
import { count, dollars, duration, milliseconds, percent, rate } from "./format.js";

const noDatabase = "There is no database in this run: the grid alone keeps the data.";

export class Headline {
  #backlogText = byId("backlog-about").textContent;

  update(status) {
    const { rates, latencyMs, money, answers, backlog, restarts } = status;
    const requests = Object.values(answers).reduce((all, each) => all + each, 0);
    show("requests", rates?.requests ?? null, rate);
    show("requests-total", requests, count);
    show("bids", rates?.bids ?? null, rate);
    setText(byId("bid-share"), percent(answers.bid, requests));
    show("p50", latencyMs?.p50 ?? null, milliseconds);
    show("p99", latencyMs?.p99 ?? null, milliseconds);
    show("p999", latencyMs?.p999 ?? null, milliseconds);
    show("spent", money.spentMicros, dollars);
    show("reserved", money.reservedMicros, dollars);
    show("budget", money.budgetMicros, dollars);
    budgetBar(byId("spent-bar"), money);
    show("backlog", backlog, count);
    const age = status.database === null ? "" : `oldest ${duration(status.database.oldestMs)}`;
    setText(byId("backlog-age"), age);
    setText(byId("backlog-about"), backlog === null ? noDatabase : this.#backlogText);
    show("restarts", restarts, count);
  }
}

function show(id, value, format) {
  setData(byId(id), format(value), value);
}
