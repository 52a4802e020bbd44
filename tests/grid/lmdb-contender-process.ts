// A process that a test starts: one contender (lmdb-contender.ts), begun by a message.
// Arguments: store URL, name, positions.
import { contend } from "./lmdb-contender.ts";

const [url = "", name = "", positions = "0"] = process.argv.slice(2);
process.once("message", () => {
  void contend(url, name, Number(positions)).then((won) => {
    process.send?.(won, () => process.disconnect?.());
  });
});
process.send?.("ready");
