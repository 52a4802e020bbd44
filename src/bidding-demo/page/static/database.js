// Database: how the way to the database is, and what it refused.
import { byId, List, make, setAttribute, setData, setText } from "./dom.js";
import { count, duration, milliseconds, rate, timeOfDay } from "./format.js";

export class Database {
  #card = byId("database");
  #letters = new List(byId("letters"), keyOf, makeLetter);

  update({ database, backlog }) {
    this.#card.hidden = database === null;
    if (database === null) return;
    const { problem, oldestMs, roomMs, syncMs, rowsPerTransaction, deadLetters } = database;
    const [state, text] = stateOf(database);
    setAttribute(byId("database-state"), "data-state", state);
    setText(byId("database-text"), text);
    setText(byId("database-problem"), problem ?? "");
    setData(byId("waiting"), count(backlog), backlog);
    setData(byId("oldest"), duration(oldestMs), oldestMs);
    setData(byId("room"), roomMs === null ? "more than enough" : duration(roomMs), roomMs);
    setData(byId("sync-p50"), milliseconds(syncMs?.p50 ?? null), syncMs?.p50 ?? null);
    setData(byId("sync-p99"), milliseconds(syncMs?.p99 ?? null), syncMs?.p99 ?? null);
    setData(byId("rows-each"), rate(rowsPerTransaction), rowsPerTransaction);
    setData(byId("dead-letters"), count(deadLetters), deadLetters);
    byId("letters-table").hidden = database.letters.length === 0;
    this.#letters.update(database.letters);
  }
}

function stateOf({ problem, breaker, isFull }) {
  if (isFull) return ["bad", "Full: changes are refused until it has caught up"];
  if (problem === null) return ["good", "Writing"];
  if (breaker === "open") return ["wait", "Away: left alone for a moment"];
  return ["wait", "Away: trying again"];
}

function keyOf({ partition, position, change }) {
  return `${partition} ${position} ${change}`;
}

function makeLetter() {
  const cells = ["time", "partition", "entry", "reason"].map((name) => {
    return make("td", { class: name });
  });
  const update = ({ timeMs, partition, position, space, key, reason }) => {
    const texts = [
      timeOfDay(timeMs),
      `${partition} at ${count(position)}`,
      `${space} / ${key}`,
      reason ?? "follows an earlier one of its entry",
    ];
    texts.forEach((text, index) => setText(cells[index], text));
  };
  return { element: make("tr", {}, ...cells), update };
}
