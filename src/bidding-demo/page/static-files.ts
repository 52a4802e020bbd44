// Static files: what the demo's page is made of, read once and served from memory.
// Owns: which files there are, their types, their cache headers. Does not own: what is in them
// (static/), the chart library (uPlot, as it comes from npm).
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { EdgeContext } from "../../processing-units/edge-context.ts";

interface StaticFile {
  readonly url: string;
  readonly type: string;
  readonly file: string | URL;
}

const javaScript = "text/javascript; charset=utf-8";
const css = "text/css; charset=utf-8";

const sheets = ["theme", "page", "blocks"];
const modules = [
  "page",
  "campaigns",
  "charts",
  "counts",
  "database",
  "dom",
  "format",
  "headline",
  "partitions",
];

const files: readonly StaticFile[] = [
  { url: "/", type: "text/html; charset=utf-8", file: ours("index.html") },
  { url: "/page/icon.svg", type: "image/svg+xml", file: ours("icon.svg") },
  ...sheets.map((name) => ({ url: `/page/${name}.css`, type: css, file: ours(`${name}.css`) })),
  ...modules.map((name) => ({
    url: `/page/${name}.js`,
    type: javaScript,
    file: ours(`${name}.js`),
  })),
  { url: "/page/uplot.js", type: javaScript, file: ofUplot("uPlot.iife.min.js") },
  { url: "/page/uplot.css", type: css, file: ofUplot("uPlot.min.css") },
];

/** Everything comes from here; the page's scripts may style elements, documents may not. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Adds a route for each file. A browser keeps them, and asks each time whether it may. */
export function serveStaticFiles(server: EdgeContext["server"]): void {
  for (const { url, type, file } of files) {
    const content = readFileSync(file);
    const etag = `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
    server.get(url, (request, reply) => {
      reply.headers({
        etag,
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "content-security-policy": contentSecurityPolicy,
      });
      const known = request.headers["if-none-match"]?.split(/,\s*/) ?? [];
      // A proxy that compresses makes a strong mark a weak one; the content is the same.
      if (known.some((mark) => mark.replace(/^W\//, "") === etag)) return reply.code(304).send();
      return reply.type(type).send(content);
    });
  }
}

function ours(name: string): URL {
  return new URL(`static/${name}`, import.meta.url);
}

function ofUplot(name: string): string {
  return createRequire(import.meta.url).resolve(`uplot/dist/${name}`);
}
