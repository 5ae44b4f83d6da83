/** A primary with two replicas under three Sentinels, for tests of failover. */

import { command, info } from "./command.ts";
import { freePort, type RedisServer, startRedis } from "./server.ts";
import { until } from "./store.ts";
import { ADMIN } from "./users.ts";

const REPLICAS = 2;
const SENTINELS = 3;
const QUORUM = 2;
const READY_WITHIN_MS = 20_000;

export interface SentinelGroup {
  /** The name the Sentinels know the primary by. */
  readonly masterName: string;
  /** `{ host, port }` of the Sentinels, as clients want them. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** The data servers: the one that began as the primary, then the replicas. */
  readonly nodes: readonly RedisServer[];
  readonly sentinels: readonly RedisServer[];
  /** The one most Sentinels call the primary now. */
  primary(): Promise<RedisServer>;
  /** Waits until all are up, agree, and the replicas are in step. */
  untilHealthy(): Promise<void>;
  stop(): Promise<void>;
}

export interface SentinelGroupOptions {
  /** Silence after which a server counts as down. Default 1000. */
  readonly downAfterMs?: number;
  /** Default 5000. */
  readonly failoverTimeoutMs?: number;
}

/** Starts six processes, which takes some seconds. */
export async function startSentinel(options: SentinelGroupOptions = {}): Promise<SentinelGroup> {
  const group = new Group();
  try {
    await group.start(options.downAfterMs ?? 1000, options.failoverTimeoutMs ?? 5000);
    await group.untilHealthy();
    return group;
  } catch (error) {
    await group.stop();
    throw error;
  }
}

class Group implements SentinelGroup {
  readonly masterName = "reprise-primary";
  readonly nodes: RedisServer[] = [];
  readonly sentinels: RedisServer[] = [];

  get addresses(): readonly { readonly host: string; readonly port: number }[] {
    return this.sentinels.map(({ port }) => ({ host: "127.0.0.1", port }));
  }

  async start(downAfterMs: number, failoverTimeoutMs: number): Promise<void> {
    const config = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
    const primary = await startRedis({ config, keepsDirectory: true });
    this.nodes.push(primary);
    for (let at = 0; at < REPLICAS; at += 1) {
      this.nodes.push(await startRedis({ config, keepsDirectory: true, replicaOf: primary.port }));
    }
    for (let at = 0; at < SENTINELS; at += 1) {
      const port = await freePort();
      const sentinel = [
        `sentinel monitor ${this.masterName} 127.0.0.1 ${primary.port} ${QUORUM}`,
        `sentinel auth-user ${this.masterName} ${ADMIN.username}`,
        `sentinel auth-pass ${this.masterName} ${ADMIN.password}`,
        `sentinel down-after-milliseconds ${this.masterName} ${downAfterMs}`,
        `sentinel failover-timeout ${this.masterName} ${failoverTimeoutMs}`,
        `sentinel parallel-syncs ${this.masterName} ${REPLICAS}`,
      ];
      this.sentinels.push(await startRedis({ port, sentinel }));
    }
  }

  async primary(): Promise<RedisServer> {
    const votes = await Promise.all(this.sentinels.map((sentinel) => this.#primaryBy(sentinel)));
    const agreed = this.nodes.find(({ port }) => votes.filter((vote) => vote === port).length >= QUORUM);
    if (agreed === undefined) throw new Error(`The Sentinels do not agree: ${votes.join(", ")}.`);
    return agreed;
  }

  async untilHealthy(): Promise<void> {
    await until(() => this.#isHealthy(), READY_WITHIN_MS);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.nodes].map((server) => server.stop()));
  }

  async #primaryBy(sentinel: RedisServer): Promise<number> {
    try {
      const address = (await command(
        sentinel.port,
        "SENTINEL",
        "GET-MASTER-ADDR-BY-NAME",
        this.masterName,
      )) as string[];
      return Number(address[1]);
    } catch {
      return NaN;
    }
  }

  async #isHealthy(): Promise<boolean> {
    try {
      const primary = await this.primary();
      const roles = await Promise.all(this.nodes.map(({ port }) => info(port, "replication")));
      const inStep = roles.filter(
        (role) => role.get("master_link_status") === "up" && role.get("master_port") === String(primary.port),
      );
      const known = await Promise.all(this.sentinels.map((sentinel) => this.#masterBy(sentinel)));
      return (
        inStep.length === REPLICAS &&
        known.every((master) => master.get("flags") === "master") &&
        known.every((master) => master.get("num-slaves") === String(REPLICAS)) &&
        known.every((master) => master.get("num-other-sentinels") === String(SENTINELS - 1))
      );
    } catch {
      return false;
    }
  }

  async #masterBy(sentinel: RedisServer): Promise<ReadonlyMap<string, string>> {
    const words = (await command(sentinel.port, "SENTINEL", "MASTER", this.masterName)) as string[];
    const pairs = new Map<string, string>();
    for (let at = 0; at + 1 < words.length; at += 2) pairs.set(words[at]!, words[at + 1]!);
    return pairs;
  }
}
