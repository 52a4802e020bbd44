// A thread that a test starts: one contender (lmdb-contender.ts), begun by a message.
import { parentPort, workerData } from "node:worker_threads";
import { contend } from "./lmdb-contender.ts";

const { url, name, positions } = workerData as { url: string; name: string; positions: number };
parentPort?.once("message", () => {
  void contend(url, name, positions).then((won) => {
    parentPort?.postMessage(won);
    parentPort?.close();
  });
});
parentPort?.postMessage("ready");
