/** Breaks Redis in every way on purpose while real processes are under load: `npm run faults -- --help`. */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { writeDocs } from "./harness/docs.mjs";
import { runRow } from "./harness/row.mjs";
import { printTable, lastLine, printResult } from "./harness/report.mjs";
import { ROWS } from "./rows/index.mjs";

const CLIENTS = ["node-redis", "ioredis"];

const HELP = `Usage: npm run faults [-- flags]

Starts real Redis servers, application processes and load, breaks something on purpose, and checks what the clients see.
Exits with 1 when a client sees an error that the cache caused, or an expectation is not met.

  --short             the rows of a few minutes, with short faults
  --rows <numbers>    only these: 1,3
  --clients <names>   only these: ${CLIENTS.join(",")} (default: both)
  --json <file>       write the results there
  --with <file>       take the rows that are not run now from results that --json wrote, of a run without --short
  --write-docs        write docs/reliability.md; needs results of all rows and clients, not --short
  --list              what the rows are
  --help              show this help
`;

const OPTIONS = {
  short: { type: "boolean", default: false },
  rows: { type: "string" },
  clients: { type: "string", default: CLIENTS.join(",") },
  json: { type: "string" },
  with: { type: "string" },
  "write-docs": { type: "boolean", default: false },
  list: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
};

process.exitCode = await main().catch((error) => {
  console.error(`faults: ${error.stack}`);
  return 1;
});

async function main() {
  const { values: flags } = parseArgs({ options: OPTIONS });
  if (flags.help) {
    console.log(HELP);
    return 0;
  }
  const rows = chosenRows(flags);
  if (flags.list) {
    for (const { number, title, does } of rows) console.log(`${String(number).padStart(2)}  ${title}: ${does}`);
    return 0;
  }
  const clients = chosen("clients", flags.clients.split(","), CLIENTS);
  const results = [];
  const earlier = flags.with === undefined ? [] : JSON.parse(readFileSync(flags.with, "utf8"));
  for (const row of rows) {
    for (const client of clients) {
      const result = await runRow(row, client, flags.short);
      results.push(result);
      printResult(result);
    }
  }
  const all = together(earlier, results);
  printTable(all);
  if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(all, null, 2)}\n`);
  if (flags["write-docs"]) {
    if (flags.short || all.length < ROWS.length * CLIENTS.length) {
      throw new Error("--write-docs needs results of all rows and clients, and not --short.");
    }
    writeDocs(ROWS, all);
  }
  const rowCount = new Set(all.map(({ number }) => number)).size;
  const { text, isGood } = lastLine(all, rowCount, new Set(all.map(({ client }) => client)).size);
  console.log(text);
  return isGood ? 0 : 1;
}

/** Results of an earlier run, with those of this one in their places. */
function together(earlier, results) {
  const isRunAgain = (old) => results.some(({ number, client }) => number === old.number && client === old.client);
  const kept = earlier.filter((old) => !old.isShort && !isRunAgain(old));
  return [...kept, ...results].sort((a, b) => a.number - b.number || b.client.localeCompare(a.client));
}

function chosenRows(flags) {
  if (flags.rows === undefined) return flags.short ? ROWS.filter(({ isLong }) => isLong !== true) : ROWS;
  const numbers = chosen(
    "rows",
    flags.rows.split(",").map(Number),
    ROWS.map(({ number }) => number),
  );
  return ROWS.filter(({ number }) => numbers.includes(number));
}

function chosen(flag, asked, known) {
  const unknown = asked.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`--${flag} ${unknown.join(",")}: there are ${known.join(", ")}.`);
  return asked;
}
