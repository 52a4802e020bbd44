// House rules for source text, read from the syntax tree, so that a string or a comment that only
// speaks of a banned call is not one.
// Owns: the rules about calls, types, comments, tests, lengths and headers.
// Does not own: what eslint, prettier and the compiler check; the import directions.
import ts from "typescript";
import type { RepositoryFile } from "./repository-files.ts";

const FILE_LINES_MAX = 500;
const FUNCTION_LINES_MAX = 69;
const LINE_LENGTH_MAX = 100;

/** Here time, randomness and timers are made into ports, or a browser has no ports. */
const OUTSIDE_OF_REPLAY = /^src\/(?:base|report|bidding-demo\/page)\//;

/** Banned in src, with what to use instead. */
const BANNED_MEMBERS = new Map([
  ["Date.now", "the clock of src/base"],
  ["performance.now", "the clock of src/base"],
  ["process.hrtime", "the clock of src/base"],
  ["Math.random", "the random source of src/base"],
  ["crypto.randomUUID", "the ids of src/base"],
  ["process.nextTick", "the timers of src/base"],
  ["AbortSignal.timeout", "the timers of src/base"],
]);
const BANNED_GLOBALS = new Map([
  ["setTimeout", "the timers of src/base"],
  ["setInterval", "the timers of src/base"],
  ["setImmediate", "the timers of src/base"],
  ["randomUUID", "the ids of src/base"],
]);
const BANNED_MODULES = new Map([
  ["timers", "the timers of src/base"],
  ["timers/promises", "the timers of src/base"],
]);

/** All problems of one TypeScript file, each as `path:line: what is wrong and what to do`. */
export function sourceProblems(file: RepositoryFile): string[] {
  const source = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.Latest, true);
  const problems = [...textProblems(file)];
  const report = (position: number, problem: string): void => {
    const { line } = source.getLineAndCharacterOfPosition(position);
    problems.push(`${file.path}:${line + 1}: ${problem}`);
  };
  const isTest = file.path.startsWith("tests/");
  const replays = file.path.startsWith("src/") && !OUTSIDE_OF_REPLAY.test(file.path);
  const visit = (node: ts.Node): void => {
    const found = [
      typeHole(node),
      longFunction(node, source),
      replays ? bannedCall(node) : undefined,
      isTest ? forbiddenInTests(node) : undefined,
    ];
    for (const problem of found) {
      if (problem !== undefined) report(node.getStart(source), problem);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  for (const comment of comments(source)) {
    const problem = forbiddenComment(file.text.slice(comment.pos, comment.end));
    if (problem !== undefined) report(comment.pos, problem);
  }
  return problems;
}

function textProblems({ path, text }: RepositoryFile): string[] {
  const problems: string[] = [];
  if (!/^(?:\/\/|\/\*)/.test(text)) {
    problems.push(
      `${path}:1: begin with a comment: what the file owns, or a test's goal and method`,
    );
  }
  const lines = text.split("\n");
  if (lines.length - 1 > FILE_LINES_MAX) {
    problems.push(`${path}: ${lines.length - 1} lines, the limit is ${FILE_LINES_MAX}`);
  }
  for (const [index, line] of lines.entries()) {
    // Code is wrapped by prettier; what it leaves longer (a text) has a reason. Comments have none.
    if (line.length > LINE_LENGTH_MAX && /^\s*(?:\/\/|\/?\*)/.test(line)) {
      problems.push(`${path}:${index + 1}: a comment longer than ${LINE_LENGTH_MAX}`);
    }
  }
  return problems;
}

function bannedCall(node: ts.Node): string | undefined {
  if (ts.isPropertyAccessExpression(node)) return bannedMember(node);
  if (ts.isNewExpression(node)) {
    const readsTheClock = isNamed(node.expression, "Date") && (node.arguments?.length ?? 0) === 0;
    return readsTheClock ? banned("new Date()", "the clock of src/base") : undefined;
  }
  if (ts.isCallExpression(node) && isNamed(node.expression, "Date")) {
    return banned("Date()", "the clock of src/base");
  }
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const name = node.moduleSpecifier.text.replace(/^node:/, "");
    return banned(`import of ${name}`, BANNED_MODULES.get(name));
  }
  if (ts.isIdentifier(node) && isReference(node)) {
    return banned(node.text, BANNED_GLOBALS.get(node.text));
  }
  return undefined;
}

function bannedMember(node: ts.PropertyAccessExpression): string | undefined {
  const object = node.expression.getText().replace(/^globalThis\./, "");
  const name = `${object}.${node.name.text}`;
  if (object === "globalThis") return banned(node.name.text, BANNED_GLOBALS.get(node.name.text));
  return banned(name, BANNED_MEMBERS.get(name));
}

function banned(what: string, instead: string | undefined): string | undefined {
  return instead === undefined ? undefined : `${what} is banned here: use ${instead}`;
}

/** True for a name that stands for the global itself, not for a member of the same name. */
function isReference(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isImportSpecifier(parent) || ts.isShorthandPropertyAssignment(parent)) return true;
  // What a declaration or a member access calls its `name` is not the global.
  return !("name" in parent && parent.name === node);
}

function typeHole(node: ts.Node): string | undefined {
  if (!ts.isAsExpression(node) && !ts.isTypeAssertionExpression(node)) return undefined;
  if (node.type.kind === ts.SyntaxKind.AnyKeyword) return "a cast to any: give it a type";
  let inner: ts.Node = node.expression;
  while (ts.isParenthesizedExpression(inner)) inner = inner.expression;
  const fromUnknown =
    (ts.isAsExpression(inner) || ts.isTypeAssertionExpression(inner)) &&
    inner.type.kind === ts.SyntaxKind.UnknownKeyword;
  return fromUnknown ? "a cast through unknown: check the value, or fix the types" : undefined;
}

function longFunction(node: ts.Node, source: ts.SourceFile): string | undefined {
  if (!ts.isFunctionLike(node) || groupsTests(node)) return undefined;
  const first = source.getLineAndCharacterOfPosition(node.getStart(source)).line;
  const last = source.getLineAndCharacterOfPosition(node.end).line;
  const lines = last - first + 1;
  return lines > FUNCTION_LINES_MAX
    ? `a function of ${lines} lines, the limit is ${FUNCTION_LINES_MAX}`
    : undefined;
}

/**
 * A function that itself declares tests (a `describe`, a contract that several stores keep) groups
 * them, as a file does: its length says nothing. The functions of its tests are still measured.
 */
function groupsTests(node: ts.Node): boolean {
  if (!("body" in node)) return false;
  const body = node.body as ts.Node | undefined;
  if (body === undefined || !ts.isBlock(body)) return false;
  return body.statements.some(
    (statement) =>
      ts.isExpressionStatement(statement) &&
      ts.isCallExpression(statement.expression) &&
      /^(?:test|it|describe)\b/.test(statement.expression.expression.getText()),
  );
}

function forbiddenInTests(node: ts.Node): string | undefined {
  if (ts.isPropertyAccessExpression(node)) {
    const runner = /^(?:test|it|describe|suite)\b/.test(node.expression.getText());
    if (runner && /^(?:skip|only|todo|fails)$/.test(node.name.text)) {
      return `.${node.name.text}: a test runs or is not there (a missing part: skipIf)`;
    }
  }
  if (!ts.isCallExpression(node)) return undefined;
  const called = calledName(node.expression);
  const [first] = node.arguments;
  // A delay on simulated timers is an event like any other; one on real time is not.
  const realDelay =
    called === "delay" &&
    first !== undefined &&
    (ts.isNumericLiteral(first) || isNamed(first, "systemTimers"));
  const waits = called === "setTimeout" || called === "sleep" || realDelay;
  return waits ? `${called}(: a test waits for the event, never for time` : undefined;
}

function calledName(callee: ts.Expression): string | undefined {
  if (ts.isIdentifier(callee)) return callee.text;
  return ts.isPropertyAccessExpression(callee) ? callee.name.text : undefined;
}

function isNamed(node: ts.Expression, name: string): boolean {
  return ts.isIdentifier(node) && node.text === name;
}

function forbiddenComment(text: string): string | undefined {
  if (/eslint-disable|prettier-ignore|@ts-(?:ignore|expect-error|nocheck)/.test(text)) {
    return "an exemption from a check: fix what it found, or tune the rule for all";
  }
  return leftoverNote(text);
}

/** Finds a note about work that was left for later, in a comment or in a document. */
export function leftoverNote(text: string): string | undefined {
  const note = /\b(?:TODO|FIXME|XXX)\b/.exec(text);
  return note === null ? undefined : `${note[0]}: do it, or write an issue`;
}

function comments(source: ts.SourceFile): ts.CommentRange[] {
  const found = new Map<number, ts.CommentRange>();
  const collect = (node: ts.Node): void => {
    const children = node.getChildren(source);
    if (children.length > 0) {
      children.forEach(collect);
      return;
    }
    const ranges = [
      ...(ts.getLeadingCommentRanges(source.text, node.pos) ?? []),
      ...(ts.getTrailingCommentRanges(source.text, node.end) ?? []),
    ];
    for (const range of ranges) found.set(range.pos, range);
  };
  collect(source);
  return [...found.values()];
}

/**
 * The problem with a file's name, if there is one: names are kebab-case, a suffix has a dot. A
 * folder's README is called as everywhere.
 */
export function nameProblem(path: string): string | undefined {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const kebabCase = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)*$/;
  if (name === "README.md") return undefined;
  return kebabCase.test(name) ? undefined : `${path}: name it in kebab-case`;
}
