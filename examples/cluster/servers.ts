/** The Cluster of the example: the one of REDIS_CLUSTER_NODES, or six servers of our own on 127.0.0.1. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { createClient } from "redis";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ClusterServers {
  readonly nodes: readonly Address[];
  stop(): Promise<void>;
}

const BINARIES = ["redis-server", "valkey-server"];
const SHARDS = 3;
const SLOTS = 16_384;
const UP_WITHIN_MS = 20_000;

/** `host:port,host:port`, as in REDIS_CLUSTER_NODES. */
export function parseNodes(text: string): readonly Address[] {
  return text.split(",").map((node) => {
    const [, host, port] = /^(.+):(\d+)$/.exec(node.trim()) ?? [];
    if (host === undefined) throw new Error(`REDIS_CLUSTER_NODES: expected host:port,host:port, got ${node}`);
    return { host, port: Number(port) };
  });
}

/** Three masters with a replica each. They keep nothing on disk and end with the example. */
export async function startServers(): Promise<ClusterServers> {
  const binary = findBinary();
  if (binary === undefined) {
    throw new Error("No redis-server or valkey-server on PATH. Install one, or set REDIS_CLUSTER_NODES=host:port,…");
  }
  const directory = mkdtempSync(join(tmpdir(), "reprise-cluster-"));
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(ended));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const nodes = await Promise.all(Array.from({ length: SHARDS * 2 }, () => startNode(binary, directory, children)));
    await form(nodes);
    return { nodes: nodes.map(({ port }) => ({ host: "127.0.0.1", port })), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Node {
  readonly port: number;
  readonly busPort: number;
}

async function startNode(binary: string, directory: string, children: ChildProcess[]): Promise<Node> {
  const node = { port: await freePort(), busPort: await freePort() };
  const settings = {
    port: node.port,
    "cluster-port": node.busPort,
    bind: "127.0.0.1",
    dir: directory,
    save: "",
    "cluster-enabled": "yes",
    "cluster-config-file": `nodes-${node.port}.conf`,
    "cluster-node-timeout": 2000,
    "repl-diskless-sync-delay": 0,
  };
  const words = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  // A group of its own: Ctrl+C is for us, who end it when the workers are done.
  children.push(spawn(binary, words, { stdio: "ignore", detached: true }));
  await until(async () => (await ask(node, "PING")) === "PONG");
  return node;
}

async function form(nodes: readonly Node[]): Promise<void> {
  const masters = nodes.slice(0, SHARDS);
  const [first] = masters;
  for (const [at, node] of nodes.entries()) {
    await ask(node, "CLUSTER", "SET-CONFIG-EPOCH", at + 1);
    if (node !== first) await ask(first!, "CLUSTER", "MEET", "127.0.0.1", node.port, node.busPort);
  }
  for (const [at, master] of masters.entries()) {
    const firstSlot = Math.floor((SLOTS * at) / SHARDS);
    await ask(master, "CLUSTER", "ADDSLOTSRANGE", firstSlot, Math.floor((SLOTS * (at + 1)) / SHARDS) - 1);
    const replica = nodes[SHARDS + at]!;
    const id = String(await ask(master, "CLUSTER", "MYID"));
    // Refused until the replica has heard of its master.
    await until(() => ask(replica, "CLUSTER", "REPLICATE", id));
  }
  for (const node of nodes) {
    await until(async () => {
      const known = String(await ask(node, "CLUSTER", "NODES"));
      const state = String(await ask(node, "CLUSTER", "INFO"));
      return known.match(/slave [0-9a-f]{40}/g)?.length === SHARDS && state.includes("cluster_state:ok");
    });
  }
}

async function ask({ port }: Node, ...words: readonly (string | number)[]): Promise<unknown> {
  const client = createClient({ socket: { host: "127.0.0.1", port, reconnectStrategy: false } });
  client.on("error", () => {});
  try {
    await client.connect();
    return await client.sendCommand(words.map(String));
  } finally {
    if (client.isOpen) client.destroy();
  }
}

/** Waits until `isSo` holds; as long as it fails, it does not. */
async function until(isSo: () => Promise<unknown>): Promise<void> {
  const giveUpAtMs = Date.now() + UP_WITHIN_MS;
  for (;;) {
    try {
      if (await isSo()) return;
    } catch (error) {
      if (Date.now() > giveUpAtMs) throw error;
    }
    if (Date.now() > giveUpAtMs) throw new Error(`The Cluster is not up after ${UP_WITHIN_MS / 1000} s.`);
    await wait(50);
  }
}

function findBinary(): string | undefined {
  const directories = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return directories.flatMap((directory) => BINARIES.map((name) => join(directory, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Below the ports that systems give to outgoing connections, which could take it before the server has it. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => {
    child.once("exit", resolve);
  });
  child.kill("SIGTERM");
  await gone;
}
