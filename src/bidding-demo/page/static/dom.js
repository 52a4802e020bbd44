// DOM: the few ways in which this page changes its document. Texts from the server become text
// nodes, never markup.

/** The element with this id; the page is wrong where there is none. */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no element #${id}`);
  return found;
}

/** Changes a text only where it differs, so that a selection or a reader is not disturbed. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows `text` in a data element and keeps the exact value beside it. */
export function setData(element, text, value) {
  setText(element, text);
  setAttribute(element, "value", value === null ? "" : String(value));
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A new element with attributes and children; a child may be a text. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/**
 * Keeps one child of `parent` for each item, in their order: made once by `create`, which returns
 * the element and how to update it. Elements stay, so what is focused or hovered stays so too.
 */
export class List {
  #parent;
  #keyOf;
  #create;
  #rows = new Map();

  constructor(parent, keyOf, create) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#create = create;
  }

  update(items) {
    const keys = new Set(items.map(this.#keyOf));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    items.forEach((item, index) => {
      const key = this.#keyOf(item);
      const row = this.#rows.get(key) ?? this.#create(item);
      this.#rows.set(key, row);
      const there = this.#parent.children[index] ?? null;
      if (there !== row.element) this.#parent.insertBefore(row.element, there);
      row.update(item);
    });
  }
}
