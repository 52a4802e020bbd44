// Campaigns: the table of budgets, and the bar that shows where a budget is.
import { byId, List, make, setAttribute, setData, setText } from "./dom.js";
import { count, dollars, percent } from "./format.js";

/** Fills a bar with what is spent and reserved of a budget. */
export function budgetBar(bar, { budgetMicros, spentMicros, reservedMicros }) {
  if (bar.childElementCount === 0) {
    bar.append(make("span", { class: "part spent" }), make("span", { class: "part reserved" }));
  }
  const [spent, reserved] = bar.children;
  setWidth(spent, spentMicros, budgetMicros);
  setWidth(reserved, reservedMicros, budgetMicros);
  const part = (micros) => percent(micros, budgetMicros);
  const left = budgetMicros - spentMicros - reservedMicros;
  const label = `${part(spentMicros)} spent, ${part(reservedMicros)} reserved, ${part(left)} left`;
  setAttribute(bar, "aria-label", label);
  setAttribute(bar, "title", label);
}

function setWidth(element, part, all) {
  element.style.width = all > 0 ? `${(100 * part) / all}%` : "0";
}

export class Campaigns {
  #rows = new List(byId("campaigns"), ({ id }) => id, makeRow);
  #rest = byId("campaigns-rest");

  update({ campaigns, campaignsNotShown }) {
    this.#rows.update(campaigns);
    this.#rest.hidden = campaignsNotShown === 0;
    setText(this.#rest, `${count(campaignsNotShown)} more campaigns are not shown.`);
  }
}

function makeRow() {
  const name = make("span", { class: "name" });
  const badge = make("span", { class: "badge" });
  const bar = make("div", { class: "bar", role: "img" });
  const figures = ["spent", "reserved", "left", "budget"].map((label) => {
    const value = make("data");
    return {
      value,
      cell: make("td", { role: "cell", class: "figure", "data-label": label }, value),
    };
  });
  const element = make(
    "tr",
    { role: "row" },
    make("th", { role: "rowheader", scope: "row" }, name, " ", badge),
    make("td", { role: "cell", class: "wide" }, bar),
    ...figures.map(({ cell }) => cell),
  );
  const update = (campaign) => {
    const { budgetMicros, spentMicros, reservedMicros, exhausted } = campaign;
    setText(name, campaign.name);
    setText(badge, exhausted ? "exhausted" : "");
    element.classList.toggle("exhausted", exhausted);
    budgetBar(bar, campaign);
    const left = budgetMicros - spentMicros - reservedMicros;
    [spentMicros, reservedMicros, left, budgetMicros].forEach((micros, index) => {
      setData(figures[index].value, dollars(micros), micros);
    });
  };
  return { element, update };
}
