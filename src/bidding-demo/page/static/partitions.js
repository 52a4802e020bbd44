// Partitions: who owns what. A grid for the eye, the same as a table, and the lanes.
// Colours repeat after eight lanes; each cell and each lane says its number, too.
import { byId, List, make, setAttribute, setText } from "./dom.js";
import { count, none, rate, wholePercent } from "./format.js";

const laneColours = 8;
/** More are shown in more columns, and scroll. */
const partitionsCalm = 64;

const states = {
  serving: ["serving", ""],
  starting: ["being loaded", "…"],
  leaving: ["being handed over", "→"],
  gone: ["moving to another lane", "→"],
  halted: ["halted", "!"],
  elsewhere: ["serving", "unit"],
  away: ["waiting for an owner", "?"],
};

export class Partitions {
  #detail = byId("partition-detail");
  #hint = this.#detail.textContent;
  #shown = null;
  #newest = [];
  #cells = new List(byId("partitions"), keyOf, () => makeCell(this));
  #rows = new List(byId("partition-rows"), keyOf, makeRow);
  #others = byId("others");
  #lanes = new List(byId("lanes"), ({ lane }) => lane, makeLane);

  constructor() {
    const grid = byId("partitions");
    grid.addEventListener("pointerleave", () => this.show(null));
  }

  update({ partitions, lanes }) {
    this.#newest = partitions;
    byId("partitions").classList.toggle("many", partitions.length > partitionsCalm);
    this.#cells.update(partitions);
    this.#rows.update(partitions);
    showOthers(this.#others, partitions);
    this.#lanes.update(lanes.map((lane) => ({ ...lane, owned: ownedBy(lane, partitions) })));
    this.show(this.#shown);
  }

  /** Shows the details of one partition; null: the hint. */
  show(number) {
    this.#shown = number;
    const found = this.#newest.find(({ partition }) => partition === number);
    setText(this.#detail, found === undefined ? this.#hint : describe(found));
  }
}

function keyOf({ partition }) {
  return partition;
}

function ownedBy({ lane }, partitions) {
  return partitions.filter((each) => each.lane === lane && each.phase !== "away").length;
}

function owner({ lane, elsewhere }) {
  if (elsewhere !== null) return `${elsewhere}, another unit`;
  return lane === null ? "nobody" : `lane ${lane}`;
}

/** A unit among others says so: most of what it shows is of itself alone. */
function showOthers(element, partitions) {
  const away = partitions.filter(({ phase }) => phase === "elsewhere").length;
  element.hidden = away === 0;
  const all = count(partitions.length);
  setText(
    element,
    `${count(away)} of ${all} partitions are with other units of this grid. This page is of one ` +
      "unit: its answers, and the money in its own partitions.",
  );
}

function state({ phase, reason }) {
  const [name] = states[phase];
  return reason === null ? name : `${name} (${reason})`;
}

function describe(partition) {
  const { backlog, epoch } = partition;
  const rest = backlog === null ? "" : `, backlog ${count(backlog)}`;
  const number = `Partition ${partition.partition}`;
  return `${number}: ${owner(partition)}, ${state(partition)}, epoch ${count(epoch)}${rest}`;
}

function makeCell(grid) {
  const number = make("span", { class: "number" });
  const word = make("span", { class: "word" });
  const lane = make("span");
  const element = make("li", {}, number, make("span", { class: "lane" }, word, lane));
  let shown = null;
  element.addEventListener("pointerenter", () => grid.show(shown));
  element.addEventListener("click", () => grid.show(shown));
  const update = (partition) => {
    shown = partition.partition;
    const [, mark] = states[partition.phase];
    setText(number, String(partition.partition));
    setText(word, mark === "" ? "lane " : "");
    setText(lane, mark === "" ? String(partition.lane) : mark);
    setAttribute(element, "data-phase", partition.phase);
    setAttribute(element, "data-colour", colour(partition.lane));
    setAttribute(element, "aria-label", describe(partition));
  };
  return { element, update };
}

function colour(lane) {
  return lane === null ? "none" : String(lane % laneColours);
}

function makeRow() {
  const number = make("th", { scope: "row" });
  const cells = ["", "", "figure", "figure"].map((name) => make("td", { class: name }));
  const update = (partition) => {
    setText(number, String(partition.partition));
    const { epoch, backlog } = partition;
    const texts = [owner(partition), state(partition), count(epoch), count(backlog)];
    texts.forEach((text, index) => setText(cells[index], text));
  };
  return { element: make("tr", {}, number, ...cells), update };
}

function makeLane() {
  const name = make("span", { class: "name" });
  const busy = make("span", { class: "busy" });
  const fill = make("span", { class: "part" });
  const meter = make(
    "div",
    { class: "bar", role: "meter", "aria-valuemin": "0", "aria-valuemax": "100" },
    fill,
  );
  const about = make("span", { class: "about" });
  const element = make("li", {}, make("span", { class: "swatch" }), name, busy, meter, about);
  const update = ({ lane, present, utilization, requests, owned }) => {
    setAttribute(element, "data-colour", colour(lane));
    setAttribute(element, "data-present", String(present));
    setText(name, `Lane ${lane}`);
    setText(busy, present ? `${wholePercent(utilization)} busy` : "being replaced");
    setAttribute(meter, "aria-valuenow", (utilization * 100).toFixed(0));
    setAttribute(meter, "aria-label", `Lane ${lane}: share of time in which it works`);
    fill.style.width = `${utilization * 100}%`;
    const answers = present ? rate(requests) : none;
    setText(about, `${count(owned)} partitions · ${answers} HTTP requests/s`);
  };
  return { element, update };
}
