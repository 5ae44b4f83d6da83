/**
 * Four processes behind a Redis Cluster of three shards: `npm run example:cluster`.
 *
 * WORKERS=8 for another number of processes; REDIS_CLUSTER_NODES=host:port,host:port for a Cluster you have. It sends some
 * requests, prints what came of them, and stays up until Ctrl+C for requests of your own; with --once it ends at once.
 */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { shardRows } from "./shards.ts";
import { type ClusterServers, parseNodes, startServers } from "./servers.ts";
import { printTable } from "./table.ts";

const PRODUCTS = 30;
const AT_ONCE = 40;
const SEEN_WITHIN_MS = 5000;

interface Worker {
  readonly number: number;
  readonly origin: string;
  readonly child: ChildProcess;
}

const given = process.env.REDIS_CLUSTER_NODES;
// A run of its own each time: the Cluster may hold responses of an earlier one.
const prefix = `reprise-cluster-example-${Date.now()}`;
const workers: Worker[] = [];
let servers: ClusterServers | undefined;

try {
  console.log("Starting.");
  servers = given === undefined ? await startServers() : { nodes: parseNodes(given), stop: async () => {} };
  const count = Number(process.env.WORKERS ?? 4);
  if (!Number.isInteger(count) || count < 2) throw new Error(`WORKERS: expected 2 or more, got ${process.env.WORKERS}`);
  for (let number = 1; number <= count; number += 1) workers.push(await startWorker(number, servers));
  await untilConnected();
  await show(servers);
  if (process.argv.includes("--once")) await stop();
  else process.once("SIGINT", () => void stop());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
  await stop();
}

async function show({ nodes }: ClusterServers): Promise<void> {
  const [first, second, third = second] = workers;
  console.log(
    `${workers.length} workers, and Redis on ${nodes.map(({ host, port }) => `${host}:${port}`).join(" ")}\n`,
  );

  printTable("What one worker has stored, all have", [
    await get(first!, "/product/1"),
    await get(second!, "/product/1"),
    await get(second!, "/product/1"),
    await get(third!, "/product/1"),
  ]);

  const startedAtMs = performance.now();
  const together = await Promise.all(
    Array.from({ length: AT_ONCE }, (_, at) => get(workers[at % workers.length]!, "/product/2")),
  );
  const runs = new Set(together.map(({ content }) => content)).size;
  printTable(`${AT_ONCE} requests for one product at once, to ${workers.length} workers`, [
    { "handler runs": String(runs), "all answered after": `${elapsedMs(startedAtMs)} ms` },
  ]);

  const [old] = await Promise.all(workers.map((worker) => get(worker, "/product/1")));
  const put = await fetch(`${second!.origin}/product/1`, { method: "PUT" });
  const purgedAtMs = performance.now();
  const seen = await Promise.all(workers.map((worker) => seenPurge(worker, old!.content, purgedAtMs)));
  printTable(`Worker ${second!.number} purges product 1 (PUT: ${put.status}), the others have it in memory`, seen);

  for (let product = 3; product <= PRODUCTS; product += workers.length) {
    await Promise.all(workers.map((worker, at) => get(worker, `/product/${product + at}`)));
  }
  // What is stored is written after the response.
  await wait(200);
  printTable("What the shards hold, and the commands they ran", await shardRows(nodes, prefix));

  if (!process.argv.includes("--once")) {
    console.log(`Try it, in any order:  curl -i ${workers.map(({ origin }) => `${origin}/product/7`).join("  ")}`);
    console.log(`Purge it:              curl -X PUT ${first!.origin}/product/7\n\nCtrl+C ends it.`);
  }
}

interface Row {
  readonly [column: string]: string;
}

async function get(worker: Worker, path: string): Promise<Row & { readonly content: string }> {
  const startedAtMs = performance.now();
  const response = await fetch(worker.origin + path);
  const content = await response.text();
  return {
    asked: `worker ${worker.number}`,
    request: `GET ${path}`,
    content: content,
    cache: response.headers.get("x-reprise-cache") ?? "",
    after: `${elapsedMs(startedAtMs)} ms`,
  };
}

/** Asks until the worker no longer answers with what was made before the purge. */
async function seenPurge(worker: Worker, old: string, purgedAtMs: number): Promise<Row> {
  for (let oldAnswers = 0; ; oldAnswers += 1) {
    const askedAfter = `${elapsedMs(purgedAtMs)} ms`;
    const { asked, content } = await get(worker, "/product/1");
    if (content !== old || elapsedMs(purgedAtMs) > SEEN_WITHIN_MS) {
      return { asked: asked!, "old answers": String(oldAnswers), "new when asked after": askedAfter, content };
    }
    await wait(10);
  }
}

function elapsedMs(sinceMs: number): number {
  return Math.round(performance.now() - sinceMs);
}

async function startWorker(number: number, { nodes }: ClusterServers): Promise<Worker> {
  const child = fork(join(import.meta.dirname, "worker.js"), {
    env: {
      ...process.env,
      CLUSTER_NODES: nodes.map(({ host, port }) => `${host}:${port}`).join(","),
      WORKER: String(number),
      PREFIX: prefix,
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (message) => resolve(Number(message)));
    child.once("exit", (code) => reject(new Error(`Worker ${number} ended with code ${code}.`)));
  });
  return { number, origin: `http://127.0.0.1:${port}`, child };
}

/** Until then a worker answers without the Cluster. */
async function untilConnected(): Promise<void> {
  await Promise.all(
    workers.map(async (worker) => {
      const giveUpAtMs = performance.now() + SEEN_WITHIN_MS;
      while ((await get(worker, `/connected/${worker.number}`))["cache"] !== "Hit") {
        if (performance.now() > giveUpAtMs) throw new Error(`Worker ${worker.number} does not reach the Cluster.`);
        await wait(50);
      }
    }),
  );
}

async function stop(): Promise<void> {
  await Promise.all(
    workers.map(async ({ child }) => {
      const gone = new Promise((resolve) => {
        child.once("exit", resolve);
      });
      if (child.connected) child.disconnect();
      if (child.exitCode === null) await gone;
    }),
  );
  await servers?.stop();
}
