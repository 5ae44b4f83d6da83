/** docs/scale.md, written from the results of a run. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { claims } from "./claims.mjs";
import { comparison } from "./docs-comparison.mjs";
import { sizing } from "./docs-sizing.mjs";
import { commandList, ms, number, table } from "./harness/text.mjs";
import { sum } from "./harness/figures.mjs";
import { BUCKETS_MS } from "./parts/staleness.mjs";
import { DELAYS_MS } from "./parts/slope.mjs";
import { ORIGIN_MS, REQUESTS_PER_PROCESS, WITHIN_MS } from "./parts/origin-calls.mjs";

const FILE = join(import.meta.dirname, "../../docs/scale.md");

/** Returns where it was written. */
export function writeDocs(results) {
  const sections = [
    head(results),
    promises(results),
    commands(results.commands.reprise),
    purges(results.purge),
    originCalls(results["origin-calls"]),
    staleness(results.staleness),
    roundTrips(results.slope.reprise),
    cpu(results.cpu),
    shards(results.shards),
    FAILOVER,
    comparison(results),
    sizing(results),
    LIMITS,
  ];
  writeFileSync(FILE, `${sections.flat().join("\n\n")}\n`);
  return FILE;
}

function head({ machine: { cores, node, redis } }) {
  return [
    "# Scale",
    "What many processes on one Redis cost it, and what holds between them. `npm run scale` measures all of it with real Redis servers and real processes, compares it with what is promised, and with `--write-docs` writes this page.",
    "```sh\nnpm run scale                          # everything; some minutes\nnpm run scale -- --parts commands,slope\nnpm run scale -- --json results.json\n```",
    `Counts of commands, bytes and round trips are the same on every machine. Times are not: ${cores} cores, loopback, shared by Redis, all processes and the measuring itself. Node.js ${node}, Redis ${redis}, node-redis through \`redisStore({ url })\`, every option at its default. The results are in [bench/scale/results.json](../bench/scale/results.json).`,
  ];
}

function promises(results) {
  const rows = claims(results).map(({ text, isKept, actual }) => [text, `${actual}`, isKept ? "kept" : "**not kept**"]);
  return ["## What is promised", table(["Promise", "Measured", ""], rows)];
}

function commands(rows) {
  const cells = rows.map(({ name, sent, inScripts, bytes }) => [
    name,
    commandList(sent),
    inScripts === undefined ? "" : number(inScripts, 1),
    bytes === undefined ? "" : number(bytes.toRedis, 1),
    bytes === undefined ? "" : number(bytes.fromRedis, 1),
  ]);
  const { positionReads, requests } = rows[0];
  return [
    "## Commands and bytes per request",
    "Bodies of 1 KiB, one tag. _Sent_ is what the process sends, from `MONITOR`; scripts run a few commands more inside Redis, without a round trip. Bytes are the counters of `INFO`.",
    table(["Outcome", "Sent", "In scripts", "Bytes to Redis", "Bytes from Redis"], cells),
    `With memory in front of Redis, a process that serves hits reads the end of the purge log about once in half of \`maxStalenessMs\`, however many hits there are: here ${positionReads} times during ${number(requests)} hits, and that is what their bytes are. A miss waits for two round trips, the look-up and then the right to fill with a second look; the response is stored after it was sent. Whoever waits for another process asks again after about 10, 20, 40, 80 and then each 100 ms, and only one request of each process does.`,
  ];
}

function purges(rows) {
  const cells = rows.map(({ size, reprise, keySet }) => [
    number(size),
    ...[reprise, keySet].flatMap((cost) => [
      number(cost.commands),
      ms(cost.takenMs),
      ms(cost.redisCpuMs),
      ms(cost.longestPingMs),
    ]),
  ]);
  const columns = (name) => [`${name}: commands`, "ms", "Redis CPU ms", "longest PING ms"];
  return [
    "## A purge by tag",
    "So many responses have the tag. Beside it, in the same run, the usual design: the keys of a tag in a set, and a purge that walks it (`SSCAN`, 1,000 keys a step) and deletes them (`UNLINK`). Meanwhile another connection sends a `PING` each millisecond.",
    table(["Responses", ...columns("Reprise"), ...columns("Key set")], cells),
    "A purge is a record in a log, and each response is compared with the log when it is read. What was purged stays in Redis until its expiry, or until it is replaced.",
  ];
}

function originCalls({ reprise, atOnce }) {
  const cells = reprise.map(({ processes, requests, originCalls, slowestMs }, at) =>
    [processes, requests, originCalls, slowestMs, atOnce[at].originCalls].map((value) => number(value)),
  );
  return [
    "## Origin calls when many miss at once",
    `${number(REQUESTS_PER_PROCESS)} requests for the same key in each process within ${number(WITHIN_MS)} ms, and an origin that takes ${number(ORIGIN_MS)} ms: all of them wait at the same time. The last column is the same with all requests of all processes in one instant. Then processes can be busy for longer than \`deadlineMs\` (100 ms); the time in which a process is too busy to read an answer is not counted.`,
    table(["Processes", "Requests", "Origin calls", "Slowest answer ms", "Origin calls, one instant"], cells),
  ];
}

function staleness(runs) {
  const cells = runs.map(({ maxStalenessMs, processes, purges, reads, p50Ms, p99Ms, maxMs, pastBound }) => [
    `${maxStalenessMs}`,
    `${purges} seen by ${processes - 1}`,
    number(reads),
    ms(p50Ms),
    ms(p99Ms),
    ms(maxMs),
    number(pastBound),
  ]);
  const [first] = runs;
  const limits = ["none", ...BUCKETS_MS.slice(1).map((limit) => `to ${limit}`), `over ${BUCKETS_MS.at(-1)}`];
  return [
    "## How long memory stays behind a purge",
    `${first.processes} processes with \`tiered()\` read the same response all the time, each millisecond; in turn each purges it. The time from the acknowledgement of a purge to the last read, begun after it in another process, that still gave the old response. Reads in the purging process itself that gave the old response: ${number(sum(runs.map(({ ownStale }) => ownStale)))}.`,
    table(["`maxStalenessMs`", "Purges", "Reads", "p50 ms", "p99 ms", "max ms", "Reads past the bound"], cells),
    `How often it was so long (ms), with \`maxStalenessMs: ${first.maxStalenessMs}\`:`,
    table(limits, [first.histogram.map((count) => number(count))]),
  ];
}

function roundTrips({ hit, miss }) {
  const row = (name, { roundTrips, points }) => [
    name,
    number(roundTrips, 2),
    ...points.map(({ takenMs }) => ms(takenMs)),
  ];
  return [
    "## Round trips",
    "A proxy between process and Redis makes each round trip longer. The slope is by how much a request gets slower for each millisecond a round trip does: the number of round trips it waits for. Times are those of the quickest tenth of the requests, because what else the machine does only ever adds time.",
    table(
      ["Outcome", "Slope", ...DELAYS_MS.map((delayMs) => `ms at +${delayMs} ms`)],
      [row("hit in Redis", hit), row("miss", miss)],
    ),
  ];
}

function cpu(rows) {
  const cells = rows.map(({ name, processUs, lowestUs, highestUs, redisUs }) => [
    name,
    `${number(processUs)} (${number(lowestUs)} to ${number(highestUs)})`,
    number(redisUs),
    number(Math.floor(1e6 / processUs / 100) * 100),
  ]);
  return [
    "## CPU per request",
    "Microseconds of CPU, from `process.cpuUsage()` and `INFO cpu`, of `node:http` with `nodeCache()`, median of the rounds. The last column is arithmetic, not a measurement: how many such requests would fill one core.",
    table(["Outcome", "Server process µs", "Redis µs", "Requests/s that fill a core"], cells),
  ];
}

function shards({ keys, shards, redirects, purges, perHit }) {
  const cells = shards.map(({ keys, commands, holdsPosition }) => [
    number(keys),
    number(commands),
    holdsPosition ? "yes" : "",
  ]);
  const spread =
    Math.max(...shards.map((shard) => shard.keys)) / (sum(shards.map((shard) => shard.keys)) / shards.length);
  return [
    "## Cluster",
    `Three masters with a replica each; ${number(keys)} responses stored, then each read once: ${number(perHit, 1)} \`GET\` for a hit, sent together, so that it is one round trip. The fullest shard has ${number((spread - 1) * 100, 1)} % more keys than the mean.`,
    table(["Keys", "GET during the hits", "Has the end of the purge log"], cells),
    `The shard with the end of the purge log answers a small \`GET\` for each hit in the whole cluster: with memory in front of Redis that is only for what memory does not have. Redirections in this run, with ${purges} purges: MOVED ${redirects.MOVED}, ASK ${redirects.ASK}, CROSSSLOT ${redirects.CROSSSLOT}.`,
  ];
}

const FAILOVER = [
  "## Failover",
  "How long a Sentinel or Cluster failover leaves processes without Redis, and what they serve meanwhile: [reliability](reliability.md).",
];

const LIMITS = [
  "## What one machine cannot show",
  "- **Throughput that grows with machines.** Redis, all processes and the load share the same cores; a rate measured here is about the scheduler. That is why this page counts commands and CPU and has no requests per second but the one in the CPU table, which is arithmetic.\n- **A network.** The proxy adds time, not loss, jitter or a full link. A body of 1 KiB at 100,000 hits a second is about a gigabit per second: then the network is the limit, not Redis.\n- **Distance.** Between data centres each hit in Redis costs that round trip, and each purge too.\n- **Large heaps.** Pauses of the garbage collector with gigabytes in memory do not occur here.\n- **Real failures.** Processes were killed and frozen, for [reliability](reliability.md); no machine was lost and no network was cut in two.",
];
