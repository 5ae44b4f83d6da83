/** A real Redis Cluster for tests: three masters with a replica each, which can be frozen, killed and resharded. */

import { clusterSlot } from "../../src/stores/redis/client/cluster-slot.ts";
import { command, type Reply } from "./command.ts";
import { freePort, type RedisServer, startRedis } from "./server.ts";
import { ownPrefix, until } from "./store.ts";
import { ADMIN } from "./users.ts";

const MASTERS = 3;
const NODES = 6;
const SLOTS = 16_384;
/** A store has one guard for that many slots in a row; where a master's slots begin among them, it is for both masters. */
const GUARDED_SLOTS = 512;
const READY_WITHIN_MS = 20_000;
const MIGRATE_TIMEOUT_MS = 5000;

export interface RedisCluster {
  /** In the order they were started: three that began as masters, then a replica of each. */
  readonly nodes: readonly ClusterNode[];
  /** `{ host, port }` of all nodes, as clients want them. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** What a node that answers knows of all. */
  topology(): Promise<readonly NodeState[]>;
  /** The slot of a key. */
  slotOf(key: string): Promise<number>;
  /** The node that serves a key, or a slot, now. */
  masterOf(keyOrSlot: string | number): Promise<ClusterNode>;
  /** The nodes that serve slots now. */
  masters(): Promise<readonly ClusterNode[]>;
  /** True when the range of slots that a store guards as one with the slot of `key` is on one master as a whole. */
  isGuardedAlone(key: string): Promise<boolean>;
  /** A prefix no other test uses, whose purge log is on `master` now. */
  prefixOn(master: ClusterNode): Promise<string>;
  /** The replicas of a node, up or not. */
  replicasOf(master: ClusterNode): Promise<readonly ClusterNode[]>;
  /** Opens the move of a slot: clients meet MOVED, ASK and TRYAGAIN until it is finished. */
  beginMove(slot: number, from: ClusterNode, to: ClusterNode): Promise<SlotMove>;
  /** Moves a slot with all of its keys. */
  moveSlot(slot: number, from: ClusterNode, to: ClusterNode): Promise<void>;
  /** Waits until all nodes are up, agree, and each master has a replica in step. */
  untilHealthy(): Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterNode extends RedisServer {
  /** Its name in the cluster: 40 hexadecimal digits. */
  readonly id: string;
}

/** A line of CLUSTER NODES. */
interface NodeState {
  readonly node: ClusterNode;
  readonly role: "master" | "replica";
  /** Of a replica: the id of its master. */
  readonly masterId: string | undefined;
  /** `fail?` is suspected by the node that was asked, `fail` agreed on. */
  readonly flags: readonly string[];
  /** First and last slot, both included. */
  readonly slotRanges: readonly (readonly [first: number, last: number])[];
}

interface SlotMove {
  /** Moves up to `count` keys; the number moved. */
  migrate(count: number): Promise<number>;
  /** Moves the rest and tells all masters. */
  finish(): Promise<void>;
}

export interface RedisClusterOptions {
  /** Silence after which a node is suspected. Default 1500. */
  readonly nodeTimeoutMs?: number;
  /** True, as servers are set by default: all slots are refused while one has no master. Default false. */
  readonly requiresFullCoverage?: boolean;
  /** More settings of each server. */
  readonly config?: readonly string[];
}

/** Starts six servers and makes them a cluster, which takes some seconds. */
export async function startCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const started = await Promise.allSettled(Array.from({ length: NODES }, () => startNode(options)));
  const nodes = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const cluster = new Cluster(nodes);
  try {
    for (const result of started) if (result.status === "rejected") throw result.reason;
    await form(nodes);
    await cluster.untilHealthy();
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** A node, and where the others reach it. */
interface MeetingNode extends ClusterNode {
  readonly busPort: number;
}

async function startNode(options: RedisClusterOptions): Promise<MeetingNode> {
  const busPort = await freePort();
  const settings = {
    "cluster-enabled": "yes",
    "cluster-config-file": "nodes.conf",
    "cluster-port": String(busPort),
    "cluster-node-timeout": String(options.nodeTimeoutMs ?? 1500),
    "cluster-require-full-coverage": options.requiresFullCoverage === true ? "yes" : "no",
    // A replica may take over however long its link has been down, and comes into step at once.
    "cluster-replica-validity-factor": "0",
    "repl-diskless-sync-delay": "0",
  };
  const config = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const server = await startRedis({ keepsDirectory: true, config: [...config, ...(options.config ?? [])] });
  const id = String(await command(server.port, "CLUSTER", "MYID"));
  // Its pid is a getter, and must stay one: it changes with a restart.
  return Object.create(server, { id: { value: id }, busPort: { value: busPort } }) as MeetingNode;
}

async function form(nodes: readonly MeetingNode[]): Promise<void> {
  const [first] = nodes;
  for (const [at, node] of nodes.entries()) {
    await command(node.port, "CLUSTER", "SET-CONFIG-EPOCH", at + 1);
    if (node !== first) await command(first!.port, "CLUSTER", "MEET", "127.0.0.1", node.port, node.busPort);
  }
  for (const [at, node] of nodes.slice(0, MASTERS).entries()) {
    const firstSlot = Math.floor((SLOTS * at) / MASTERS);
    const lastSlot = Math.floor((SLOTS * (at + 1)) / MASTERS) - 1;
    await command(node.port, "CLUSTER", "ADDSLOTSRANGE", firstSlot, lastSlot);
  }
  for (const [at, node] of nodes.slice(MASTERS).entries()) {
    const master = nodes[at]!;
    // Refused until it has heard of its master.
    await until(() => succeeds(command(node.port, "CLUSTER", "REPLICATE", master.id)), READY_WITHIN_MS);
  }
}

class Cluster implements RedisCluster {
  readonly nodes: readonly ClusterNode[];

  constructor(nodes: readonly ClusterNode[]) {
    this.nodes = nodes;
  }

  get addresses(): readonly { readonly host: string; readonly port: number }[] {
    return this.nodes.map(({ port }) => ({ host: "127.0.0.1", port }));
  }

  async topology(): Promise<readonly NodeState[]> {
    // All are asked at once, since some may be frozen. The one that heard of the latest election knows best.
    const views = await Promise.all(this.nodes.map((node) => this.#viewOf(node)));
    const known = views.filter((view) => view !== undefined).sort((a, b) => b.epoch - a.epoch)[0];
    if (known === undefined) throw new Error("No node of the cluster answers.");
    return known.states;
  }

  async slotOf(key: string): Promise<number> {
    return Number(await firstOf(this.nodes.map(({ port }) => command(port, "CLUSTER", "KEYSLOT", key))));
  }

  async masterOf(keyOrSlot: string | number): Promise<ClusterNode> {
    const slot = typeof keyOrSlot === "number" ? keyOrSlot : await this.slotOf(keyOrSlot);
    const states = await this.topology();
    const found = states.find(({ slotRanges }) => slotRanges.some(([from, to]) => from <= slot && slot <= to));
    if (found === undefined) throw new Error(`Slot ${slot} has no master.`);
    return found.node;
  }

  async masters(): Promise<readonly ClusterNode[]> {
    const states = await this.topology();
    return states.filter(({ slotRanges }) => slotRanges.length > 0).map(({ node }) => node);
  }

  async isGuardedAlone(key: string): Promise<boolean> {
    const firstSlot = clusterSlot(key) - (clusterSlot(key) % GUARDED_SLOTS);
    return (await this.masterOf(firstSlot)) === (await this.masterOf(firstSlot + GUARDED_SLOTS - 1));
  }

  async prefixOn(master: ClusterNode): Promise<string> {
    for (;;) {
      const prefix = ownPrefix();
      if ((await this.masterOf(`{${prefix}}`)) === master) return prefix;
    }
  }

  async replicasOf(master: ClusterNode): Promise<readonly ClusterNode[]> {
    const states = await this.topology();
    return states.filter(({ masterId }) => masterId === master.id).map(({ node }) => node);
  }

  async beginMove(slot: number, from: ClusterNode, to: ClusterNode): Promise<SlotMove> {
    await command(to.port, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.id);
    await command(from.port, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.id);
    const migrate = async (count: number): Promise<number> => {
      const keys = (await command(from.port, "CLUSTER", "GETKEYSINSLOT", slot, count)) as string[];
      if (keys.length === 0) return 0;
      const target = ["127.0.0.1", to.port, "", 0, MIGRATE_TIMEOUT_MS] as const;
      await command(from.port, "MIGRATE", ...target, "AUTH2", ADMIN.username, ADMIN.password, "KEYS", ...keys);
      return keys.length;
    };
    const finish = async (): Promise<void> => {
      while ((await migrate(100)) > 0);
      const masters = await this.masters();
      // The receiver first: between the two it must not be that nobody has the slot.
      for (const node of [to, from, ...masters.filter((master) => master.id !== to.id && master.id !== from.id)]) {
        await command(node.port, "CLUSTER", "SETSLOT", slot, "NODE", to.id);
      }
    };
    return { migrate, finish };
  }

  async moveSlot(slot: number, from: ClusterNode, to: ClusterNode): Promise<void> {
    const move = await this.beginMove(slot, from, to);
    await move.finish();
  }

  async untilHealthy(): Promise<void> {
    await until(async () => (await this.#ailments()).length === 0, READY_WITHIN_MS);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  async #ailments(): Promise<string[]> {
    const perNode = await Promise.all(this.nodes.map((node) => this.#ailmentOf(node)));
    return perNode.filter((ailment) => ailment !== undefined);
  }

  async #ailmentOf(node: ClusterNode): Promise<string | undefined> {
    const view = await this.#viewOf(node);
    if (view === undefined) return "no answer";
    const masters = view.states.filter(({ slotRanges }) => slotRanges.length > 0);
    const isWhole = masters.length === MASTERS && view.states.length === NODES;
    const areUp = view.states.every(({ flags }) => !flags.some((flag) => /fail|handshake|noaddr/.test(flag)));
    const areReplicated = masters.every((master) => view.states.some(({ masterId }) => masterId === master.node.id));
    if (!isWhole || !areUp || !areReplicated) return "other nodes are missing";
    if (!String(await command(node.port, "CLUSTER", "INFO")).includes("cluster_state:ok")) return "its state";
    const role = (await command(node.port, "ROLE")) as Reply[];
    return role[0] === "slave" && role[3] !== "connected" ? "its link to the master" : undefined;
  }

  /** What one node knows, or undefined when it does not answer. */
  async #viewOf(asked: ClusterNode): Promise<{ states: readonly NodeState[]; epoch: number } | undefined> {
    try {
      const text = String(await command(asked.port, "CLUSTER", "NODES"));
      const lines = text.split("\n").filter((line) => line !== "");
      const states = lines.flatMap((line) => this.#stateFrom(line));
      return { states, epoch: Math.max(...lines.map((line) => Number(line.split(" ")[6]))) };
    } catch {
      return undefined;
    }
  }

  #stateFrom(line: string): NodeState[] {
    const [id, , flagList = "", masterId, , , , , ...slots] = line.split(" ");
    const node = this.nodes.find((candidate) => candidate.id === id);
    if (node === undefined) return [];
    const flags = flagList.split(",");
    return [
      {
        node,
        role: flags.includes("master") ? "master" : "replica",
        masterId: masterId === "-" ? undefined : masterId,
        flags,
        slotRanges: slots.filter((range) => !range.startsWith("[")).map(slotRange),
      },
    ];
  }
}

function slotRange(text: string): readonly [number, number] {
  const [first, last = first] = text.split("-");
  return [Number(first), Number(last)];
}

async function succeeds(promise: Promise<unknown>): Promise<boolean> {
  return promise.then(
    () => true,
    () => false,
  );
}

async function firstOf(replies: readonly Promise<Reply>[]): Promise<Reply> {
  return Promise.any(replies);
}
