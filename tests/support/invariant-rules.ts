// House rules for docs/invariants.md: what is cited is defined, what is defined is enforced.
// Owns: how that document is read, and how a module's header and a test's title cite it.
//
// The document has, for each invariant, a heading `### L1. Title`, text, and one line
// `Enforced by: path, path`; a path may be followed by a note in parentheses. A file that is named
// there cites the id, so that who reads the file finds the invariant, and the other way round.
import type { RepositoryFile } from "./repository-files.ts";

const DOCUMENT = "docs/invariants.md";
const MARKER = `(${DOCUMENT})`;

/** All problems between the document and the files that cite it or are named in it. */
export function invariantProblems(document: string, files: readonly RepositoryFile[]): string[] {
  const { enforcedBy, problems } = readDocument(document);
  const citedBy = new Map<string, Set<string>>();
  for (const file of files) {
    const cited = new Set(citations(file));
    citedBy.set(file.path, cited);
    for (const id of cited) {
      if (!enforcedBy.has(id)) problems.push(`${file.path}: cites ${id}, unknown to ${DOCUMENT}`);
    }
  }
  for (const [id, paths] of enforcedBy) {
    if (paths.length === 0) problems.push(`${DOCUMENT}: ${id} has no "Enforced by" line`);
    for (const path of paths) {
      const cited = citedBy.get(path);
      if (cited === undefined) problems.push(`${DOCUMENT}: ${id}: there is no ${path}`);
      else if (!cited.has(id)) problems.push(`${DOCUMENT}: ${id}: ${path} does not cite it`);
    }
  }
  return problems;
}

function readDocument(document: string): {
  enforcedBy: Map<string, string[]>;
  problems: string[];
} {
  const enforcedBy = new Map<string, string[]>();
  const problems: string[] = [];
  let current: string[] | undefined;
  for (const line of document.split("\n")) {
    if (/^#{1,3} /.test(line)) current = undefined;
    if (line.startsWith("### ")) {
      const id = /^### ([A-Z]{1,2}\d{1,2})\. \S/.exec(line)?.[1];
      if (id === undefined) problems.push(`${DOCUMENT}: not of the form "### L1. Title": ${line}`);
      else if (enforcedBy.has(id)) problems.push(`${DOCUMENT}: ${id} is defined twice`);
      else enforcedBy.set(id, (current = []));
    }
    const list = /^Enforced by: (.+)$/.exec(line)?.[1];
    if (list !== undefined) {
      const paths = list.replaceAll(/\([^)]*\)|`|\.$/g, "").split(",");
      current?.push(...paths.map((path) => path.trim()).filter((path) => path !== ""));
    }
  }
  return { enforcedBy, problems };
}

/** The ids a file cites: in the header after the marker, and at the start of test titles. */
function citations({ path, text }: RepositoryFile): string[] {
  const header = /^(?:\s*(?:\/\/|\/?\*).*\n)*/.exec(text)?.[0] ?? "";
  const marked = header.indexOf(MARKER);
  const list = marked === -1 ? "" : header.slice(marked + MARKER.length);
  // `:  L1, L2.` on the marker's line; `L1. What it says` or `L1, L2: …` at the start of the next.
  const ids = list
    .split("\n")
    .flatMap(
      (line) => /^[\s:/*-]*((?:[A-Z]{1,2}\d{1,2}\b[.:,]?(?:\s+and)?\s*)+)/.exec(line)?.[1] ?? [],
    )
    .flatMap((found) => found.match(/[A-Z]{1,2}\d{1,2}/g) ?? []);
  if (!path.startsWith("tests/")) return ids;
  const titles = text.matchAll(
    /\b(?:test|it|describe)\b[^"'`\n]*\(\s*["'`]((?:[A-Z]{1,2}\d{1,2}[,:]\s?)+)/g,
  );
  for (const [, found] of titles) ids.push(...(found?.match(/[A-Z]{1,2}\d{1,2}/g) ?? []));
  return ids;
}
