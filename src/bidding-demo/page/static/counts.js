// Counts: three small tables of totals, each line with a word on what it means.
import { byId, make, setData } from "./dom.js";
import { count } from "./format.js";

const answers = {
  bid: ["Bid", "reserved, journaled, then answered"],
  noBid: ["No bid", "nothing fitted, or no money was left"],
  invalid: ["Invalid", "no valid OpenRTB request"],
  shed: ["Shed", "no time or no room: a fast “no bid”"],
  error: ["Error", "something failed here: “no bid”, too"],
};

const noBids = {
  unmatched: ["Unmatched", "no campaign wants this impression"],
  floor: ["Floor", "the exchange’s minimum price is too high"],
  frequency: ["Frequency", "this user has seen the campaign enough"],
  budget: ["Budget", "the campaign’s money is spent or reserved"],
  policy: ["Policy", "consent, blocked advertisers and the like"],
};

const notices = {
  won: ["Won", "the bid won its auction"],
  billed: ["Billed", "the impression was shown: money is spent"],
  lost: ["Lost", "another bid won: money is free again"],
  duplicate: ["Duplicate", "came again: no effect"],
  refused: ["Refused", "not authentic, unreadable or too late"],
};

export class Counts {
  #tables = [
    new Table(byId("answers"), answers, (status) => status.answers),
    new Table(byId("no-bids"), noBids, (status) => status.noBids),
    new Table(byId("notices"), notices, (status) => status.notices),
  ];

  update(status) {
    for (const table of this.#tables) table.update(status);
  }
}

class Table {
  #values = new Map();
  #read;

  constructor(body, lines, read) {
    this.#read = read;
    for (const [name, [label, meaning]] of Object.entries(lines)) {
      const value = make("data", { id: `${body.id}-${name}` }, "–");
      const about = make("span", { class: "about" }, meaning);
      this.#values.set(name, value);
      body.append(
        make(
          "tr",
          {},
          make("th", { scope: "row" }, make("span", { class: "name" }, label), " ", about),
          make("td", { class: "figure" }, value),
        ),
      );
    }
  }

  update(status) {
    const counts = this.#read(status);
    for (const [name, value] of this.#values) setData(value, count(counts[name]), counts[name]);
  }
}
