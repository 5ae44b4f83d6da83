// Requests per second of a cached route against the same route without a cache, in one run: npm run bench
// Rounds of all variants take turns, so that what else the machine does falls on all of them alike.
import { spawn } from "node:child_process";
import { once } from "node:events";
import autocannon from "autocannon";

const ROUNDS = 5;
const SECONDS = 3;
const CONNECTIONS = 32;
const FRAMEWORKS = ["node", "express"];
const VARIANTS = process.env.REDIS_URL ? ["uncached", "memory", "redis"] : ["uncached", "memory"];

async function start(framework, variant) {
  const child = spawn(process.execPath, ["bench/server.mjs", framework, variant], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [port] = await once(child.stdout, "data");
  return { framework, variant, url: `http://127.0.0.1:${String(port).trim()}/users`, child, figures: [] };
}

async function load(server, seconds) {
  const result = await autocannon({ url: server.url, connections: CONNECTIONS, duration: seconds });
  if (result.non2xx > 0 || result.errors > 0)
    throw new Error(`${server.framework} ${server.variant}: not all answers were 2xx`);
  return result.requests.average;
}

function median(figures) {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)];
}

const servers = [];
try {
  for (const framework of FRAMEWORKS) for (const variant of VARIANTS) servers.push(await start(framework, variant));
  for (const server of servers) await load(server, 2);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const server of servers) server.figures.push(await load(server, SECONDS));
  }
  const rows = servers.map(({ framework, variant, figures }) => {
    const base = servers.find((other) => other.framework === framework && other.variant === "uncached");
    const ratios = figures.map((figure, round) => figure / base.figures[round]);
    return {
      framework,
      variant,
      "requests/s (median)": Math.round(median(figures)),
      "of uncached": median(ratios).toFixed(2),
      lowest: Math.min(...ratios).toFixed(2),
      highest: Math.max(...ratios).toFixed(2),
    };
  });
  console.table(rows);
  if (!process.env.REDIS_URL) console.log("Set REDIS_URL to measure Redis hits as well.");
} finally {
  for (const { child } of servers) child.kill();
}
