// Redis server: a real one on loopback, for `rivals`.
// Owns: whether this machine has one, its settings. Does not own: its life (child-server.ts), what
// is asked of it (rivals-redis.ts), its folder, which is somebody else's to remove.
import { execFileSync } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";
import { ChildServer } from "./child-server.ts";

const program = "redis-server";
const loopback = "127.0.0.1";

/** `none`: in memory only. `everysec`, `always`: when the append-only file is flushed. */
export type RedisPersistence = "none" | "everysec" | "always";

export interface RedisServer {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

/** Why there can be no Redis here, and what to do about it; null: there can. */
export function missingForRedis(): string | null {
  try {
    execFileSync(program, ["--version"], { stdio: "ignore" });
    return null;
  } catch {
    return `there is no ${program}: on Debian and Ubuntu, apt-get install redis-server`;
  }
}

/** Starts one, empty; its data lies in `folder`. Rejects with what it said where it ended. */
export async function startRedis(
  folder: string,
  persistence: RedisPersistence,
): Promise<RedisServer> {
  const port = await freePort();
  const settings = {
    port: String(port),
    bind: loopback,
    dir: folder,
    save: "",
    appendonly: persistence === "none" ? "no" : "yes",
    appendfsync: persistence === "none" ? "no" : persistence,
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = await ChildServer.start(program, args, /eady to accept connections/);
  return { pid: server.pid, port, stop: () => server.stop() };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, loopback, () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => {
        resolve(port);
      });
    });
  });
}
