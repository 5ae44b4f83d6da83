/** Measures what Reprise costs Redis and what it holds to, in many processes: `npm run scale -- --help`. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { installLocked } from "../../scripts/install-locked.mjs";
import { claims } from "./claims.mjs";
import { writeDocs } from "./docs.mjs";
import { info, withRedis } from "./harness/servers.mjs";
import { measureCommands } from "./parts/commands.mjs";
import { measureCpu } from "./parts/cpu.mjs";
import { measureMemory } from "./parts/memory.mjs";
import { measureOriginCalls, PROCESSES } from "./parts/origin-calls.mjs";
import { measurePurges } from "./parts/purge.mjs";
import { measureRace } from "./parts/race.mjs";
import { measureShards } from "./parts/shards.mjs";
import { measureSlope } from "./parts/slope.mjs";
import { measureStaleness } from "./parts/staleness.mjs";

const SUBJECTS = ["reprise", "bentocache", "apicache"];
const RESULTS = join(import.meta.dirname, "results.json");
const COMPARED = join(import.meta.dirname, "../compare");
const FORMATTER = join(import.meta.dirname, "../../node_modules/oxfmt/bin/oxfmt");

const forEachSubject = async (measure) => {
  const results = {};
  for (const subject of SUBJECTS) results[subject] = await measure(subject);
  return results;
};

const PARTS = {
  commands: () => forEachSubject(measureCommands),
  purge: () => measurePurges(SUBJECTS),
  race: () => forEachSubject(measureRace),
  "origin-calls": async () => ({
    // With more processes apicache, whose requests all go to the origin over HTTP, takes minutes.
    ...(await forEachSubject((subject) => measureOriginCalls(subject, subject === "apicache" ? [1, 2] : PROCESSES))),
    atOnce: await measureOriginCalls("reprise", PROCESSES, 0),
  }),
  staleness: async () => [await measureStaleness(250, 40), await measureStaleness(0, 40)],
  cpu: measureCpu,
  shards: measureShards,
  slope: () => forEachSubject(measureSlope),
  memory: measureMemory,
};

const HELP = `Usage: npm run scale [-- flags]

Starts real Redis servers and real processes on this machine, counts what they do, and compares it with what is promised.
Takes some minutes. Exits with 1 when a promise is not kept.

  --parts <names>   only these: ${Object.keys(PARTS).join(",")}
  --json <file>     write the results there
  --from <file>     measure nothing, take these results
  --write-docs      write docs/scale.md, and the results beside this script; needs all parts
  --help            show this help
`;

const OPTIONS = {
  parts: { type: "string" },
  json: { type: "string" },
  from: { type: "string" },
  "write-docs": { type: "boolean", default: false },
  help: { type: "boolean", default: false },
};

process.setMaxListeners(0);
process.exitCode = await main().catch((error) => {
  console.error(`scale: ${error.stack}`);
  return 1;
});

async function main() {
  const { values: flags } = parseArgs({ options: OPTIONS });
  if (flags.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const names = flags.parts?.split(",") ?? Object.keys(PARTS);
  const unknown = names.filter((name) => !Object.hasOwn(PARTS, name));
  if (unknown.length > 0) throw new Error(`--parts ${unknown.join(",")}: there are ${Object.keys(PARTS).join(", ")}.`);
  const results = flags.from === undefined ? await measure(names) : JSON.parse(readFileSync(flags.from, "utf8"));
  if (flags.json !== undefined) save(flags.json, results);
  const kept = claims(results);
  for (const { text, isKept, actual } of kept) console.log(`${isKept ? "kept" : "NOT KEPT"}  ${text}: ${actual}`);
  const broken = kept.filter(({ isKept }) => !isKept).length;
  if (flags["write-docs"]) {
    const missing = Object.keys(PARTS).filter((name) => results[name] === undefined);
    if (missing.length > 0) throw new Error(`--write-docs needs all parts; there is no ${missing.join(", ")}.`);
    save(RESULTS, results);
    const page = writeDocs(results);
    execFileSync(process.execPath, [FORMATTER, RESULTS, page], { stdio: "ignore" });
  }
  console.log(`scale: ${kept.length} promises, ${broken} not kept`);
  return broken === 0 ? 0 : 1;
}

async function measure(names) {
  const compared = installLocked(COMPARED, "what Reprise is compared with");
  const results = { machine: await machine(compared) };
  for (const name of names) {
    const startMs = performance.now();
    results[name] = await PARTS[name]();
    console.log(`${name}: measured in ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
  }
  return results;
}

async function machine({ bentocache, apicache }) {
  const redis = await withRedis(async ({ port }) => (await info(port, "server")).get("redis_version"));
  return { cores: availableParallelism(), node: process.versions.node, redis, bentocache, apicache };
}

function save(file, results) {
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
}
