// HTML: text that becomes part of a page.
// Owns: escaping. Does not own: pages (report-page.ts).

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text as it may stand in an element or an attribute. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? "");
}

/** An element around what is HTML already. */
export function element(name: string, inner: string, className = ""): string {
  const attribute = className === "" ? "" : ` class="${className}"`;
  return `<${name}${attribute}>${inner}</${name}>`;
}
