// Demo exchange: the exchange as a child process of the demo.
// Owns: starting it, hearing its progress, asking it to stop. Does not own: what it does.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { ExchangeProgress, ExchangeSummary } from "../bidding-demo/exchange/tally.ts";
import type { ExchangeMessage } from "./exchange.ts";
import type { Settings } from "./settings.ts";

const main = fileURLToPath(new URL("./main.ts", import.meta.url));

export interface DemoExchange {
  /** Asks for the end: no more requests, the last notices, the summary. */
  stop(): void;
  /** The summary; null where the exchange ended without one. */
  readonly ended: Promise<ExchangeSummary | null>;
}

export function startExchange(
  settings: Settings,
  target: string,
  onProgress: (progress: ExchangeProgress) => void,
): DemoExchange {
  const options = ["--targets", target, "--data", settings.data];
  options.push("--rate", String(settings.rate), "--seed", String(settings.seed));
  if (settings.for !== undefined) options.push("--for", `${String(settings.for)}ms`);
  if (settings.requests !== undefined) options.push("--requests", settings.requests);
  // A process group of its own: Ctrl-C reaches the demo, which stops first this, then itself.
  const child = spawn(process.execPath, [main, "exchange", ...options], {
    detached: true,
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  let summary: ExchangeSummary | null = null;
  child.on("message", (message: ExchangeMessage) => {
    if (message.kind === "progress") onProgress(message.progress);
    else summary = message.summary;
  });
  return {
    stop: () => {
      child.kill("SIGTERM");
    },
    ended: new Promise((resolve) => {
      child.once("close", () => {
        resolve(summary);
      });
      child.once("error", () => {
        resolve(null);
      });
    }),
  };
}
