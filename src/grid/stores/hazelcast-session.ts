// Hazelcast session: one client of the members, from its connection to its end.
// Owns: the client's settings, its map proxies, what it sees of the members and their settings,
// how much is on its way to each of them. Does not own: outcomes and deadlines of calls, and when
// a client is replaced (hazelcast-store.ts).
// The settings are those that the measurements behind docs/operations/hazelcast.md used.
import {
  Client,
  LogLevel,
  ReconnectMode,
  type ILogger,
  type IMap,
  type UUID,
} from "hazelcast-client";
import { failed, ok, type Outcome } from "../../base/failure.ts";
import { limits } from "../../base/limits.ts";
import type { Timers } from "../../base/timers.ts";
import { gridSettings, settingsDifference } from "./hazelcast-settings.ts";
import { ByteWindow } from "./hazelcast-window.ts";

/** With every member looked at several times. */
const attemptsPerTickMax = 100;

export type BytesMap = IMap<Buffer, Buffer>;

/** Where members are: `hazelcast://host:port,…/CLUSTER`. */
export interface HazelcastAddress {
  readonly engine: "hazelcast";
  /** host:port, at least one of those of the cluster. */
  readonly members: readonly string[];
  readonly cluster: string;
}

/** What a session tells its owner. */
export interface SessionListener {
  /** A connection was lost, or made anew: what is behind it may be another grid. */
  connection(connected: boolean): void;
  /** Members came or went. */
  members(): void;
  /** The client ended: it could not reconnect in its time, or went round in circles. */
  ended(): void;
}

/**
 * What a client says of itself, where nothing else tells: why its connections were refused, and
 * that it goes round in circles. It looks for a connection that tells it of the members; where all
 * are broken and none is known to be, it asks the same ones again and again, and lets nothing else
 * happen on this thread, not even the news that they are broken.
 */
class ClientTalk implements ILogger {
  reason = "";
  /** Ends the client; it is there a little later than its first words. */
  end: () => void = () => undefined;
  readonly #timers: Timers;
  #attempts = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  error(): void {
    // that it failed; the reason came before
  }

  warn(_object: string, message: string): void {
    const refused = /^Error during initial connection to \S+ (?:\w+: )?(.*)$/s.exec(message);
    if (refused !== null) this.reason = refused[1] ?? message;
  }

  trace(object: string): void {
    if (object !== "ClusterViewListenerService") return;
    if (this.#attempts === 0) {
      this.#timers.endOfTick(() => {
        this.#attempts = 0;
      });
    }
    this.#attempts++;
    if (this.#attempts === attemptsPerTickMax) this.end();
  }

  log(level: LogLevel, object: string, message: string): void {
    if (level === LogLevel.WARN) this.warn(object, message);
    if (level === LogLevel.TRACE) this.trace(object);
  }

  info(): void {
    // of no use here
  }

  debug(): void {
    // of no use here
  }
}

function sentence(text: string): string {
  return text
    .replaceAll(/\s+/g, " ")
    .trim()
    .replace(/[.,:]+$/, "");
}

export class HazelcastSession {
  readonly #client: Client;
  readonly #maps = new Map<string, Promise<BytesMap>>();
  readonly #windows = new Map<string, ByteWindow>();
  readonly #memberNames = new WeakMap<UUID, string>();
  #closing = false;

  private constructor(client: Client) {
    this.#client = client;
  }

  /**
   * Connects to any of `address.members`, in that order where `inOrder`. Fails with
   * STORE_UNREACHABLE, saying why, after limits.hazelcastConnectMs at the latest.
   */
  static async connect(
    address: HazelcastAddress,
    inOrder: boolean,
    listener: SessionListener,
    timers: Timers,
  ): Promise<Outcome<HazelcastSession>> {
    const talk = new ClientTalk(timers);
    let session: HazelcastSession | null = null;
    try {
      const client = await Client.newHazelcastClient({
        clusterName: address.cluster,
        network: {
          clusterMembers: [...address.members],
          redoOperation: false,
          connectionTimeout: limits.connectMsMax,
        },
        connectionStrategy: {
          // Calls are refused while nothing is connected: none may wait for a grid that was wiped
          // meanwhile, where it would be the first and win.
          reconnectMode: ReconnectMode.ASYNC,
          connectionRetry: {
            initialBackoffMillis: limits.hazelcastReconnectMsMin,
            maxBackoffMillis: limits.storeBackoffMsMax,
            multiplier: 1.5,
            jitter: 0.2,
            clusterConnectTimeoutMillis: limits.hazelcastConnectMs,
          },
        },
        backupAckToClientEnabled: true,
        customLogger: talk,
        properties: {
          "hazelcast.client.operation.fail.on.indeterminate.state": true,
          "hazelcast.client.operation.backup.timeout.millis": limits.hazelcastBackupMs,
          "hazelcast.client.invocation.timeout.millis": limits.storeReadMs,
          "hazelcast.client.heartbeat.interval": limits.hazelcastHeartbeatMs,
          "hazelcast.client.heartbeat.timeout": limits.hazelcastSilenceMsMax,
          "hazelcast.client.shuffle.member.list": !inOrder,
        },
        // What a listener throws would end the process: these call nothing that throws.
        lifecycleListeners: [
          (state: string) => {
            if (session === null || session.#closing) return;
            if (state === "CONNECTED") listener.connection(true);
            if (state === "DISCONNECTED") listener.connection(false);
            if (state === "SHUTDOWN") listener.ended();
          },
        ],
        membershipListeners: [
          {
            memberAdded: () => {
              if (session !== null && !session.#closing) listener.members();
            },
            memberRemoved: () => {
              if (session !== null && !session.#closing) listener.members();
            },
          },
        ],
      });
      session = new HazelcastSession(client);
      talk.end = () => {
        client.shutdown().catch(() => undefined); // it is told as `ended`
      };
      return ok(session);
    } catch (error) {
      const why = sentence(talk.reason === "" ? String(error) : talk.reason);
      const where = `${address.members.join(", ")} (cluster ${address.cluster})`;
      return failed("STORE_UNREACHABLE", `no Hazelcast member at ${where} can be used: ${why}`);
    }
  }

  /** Members that this client sees. */
  get memberCount(): number {
    return this.#client.getCluster().getMembers().length;
  }

  /** Their addresses, host:port. */
  get memberAddresses(): string[] {
    return this.#client
      .getCluster()
      .getMembers()
      .map(({ address }) => `${address.host}:${String(address.port)}`);
  }

  /** In what the members' settings are not those that this code relies on; null: in nothing. */
  settingsProblem(): string | null {
    const count = String(this.#client.getPartitionService().getPartitionCount());
    if (count !== gridSettings["partition-count"]) {
      const own = gridSettings["partition-count"] ?? "";
      return `partition-count is ${count} in the members, ${own} here`;
    }
    for (const member of this.#client.getCluster().getMembers()) {
      // The client has them; its types do not say so.
      const attributes = "attributes" in member ? member.attributes : null;
      const difference = settingsDifference(
        attributes instanceof Map ? (attributes as Map<string, string>) : new Map(),
      );
      if (difference === null) continue;
      return `member ${member.address.host}:${String(member.address.port)}: ${difference}`;
    }
    return null;
  }

  /** The window of the member that holds this Hazelcast partition, as far as is known. */
  windowOf(hazelcastPartition: number): ByteWindow {
    // Typed as always there, and missing while the table of partitions is on its way.
    const owner = this.#client.getPartitionService().getPartitionOwner(hazelcastPartition) as
      UUID | undefined;
    const name = owner === undefined ? "" : this.#nameOf(owner);
    let window = this.#windows.get(name);
    if (window === undefined) {
      window = new ByteWindow(limits.hazelcastMemberBytesMax);
      this.#windows.set(name, window);
    }
    return window;
  }

  /** The proxy of a map; making the first one takes a round trip, and may fail. */
  map(name: string): Promise<BytesMap> {
    let map = this.#maps.get(name);
    if (map === undefined) {
      map = this.#client.getMap<Buffer, Buffer>(name);
      this.#maps.set(name, map);
      map.catch(() => this.#maps.delete(name)); // the next call asks again
    }
    return map;
  }

  /** Ends the client: whatever it has not settled is rejected. Nothing is told any more. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#client.shutdown().catch(() => undefined);
  }

  #nameOf(owner: UUID): string {
    let name = this.#memberNames.get(owner);
    if (name === undefined) {
      name = owner.toString();
      this.#memberNames.set(owner, name);
    }
    return name;
  }
}
