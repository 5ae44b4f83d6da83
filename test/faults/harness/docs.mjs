/** docs/reliability.md, written from the results of a whole run. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { COLUMNS, EMPTY_CELLS, lastLine } from "./report.mjs";

const FILE = join(import.meta.dirname, "../../../docs/reliability.md");

export function writeDocs(rows, results) {
  writeFileSync(FILE, `${page(rows, results)}\n`);
}

function page(rows, results) {
  const clients = [...new Set(results.map(({ client }) => client))];
  const requests = results.reduce((sum, result) => sum + result.requests, 0);
  return [
    "# Reliability",
    intro(clients),
    "## The run",
    "`" + lastLine(results, rows.length, clients.length).text + "`",
    `${grouped(requests)} requests in all, on 2 cores over the loopback interface. Times are in milliseconds. ${EMPTY_CELLS}`,
    table(
      ["#", "Fault", "Client", "Requests", "Errors", ...Object.values(COLUMNS), "Expectations met"],
      results.map(overview),
    ),
    "## What each row does and found",
    ...rows.flatMap((row) =>
      section(
        row,
        results.filter(({ number }) => number === row.number),
        clients,
      ),
    ),
  ].join("\n\n");
}

function intro(clients) {
  return [
    "`npm run faults` starts real Redis servers, application processes with Reprise under load, and a TCP proxy between them. It then breaks one thing at a time and checks what the clients of the applications see. This page is written by such a run.",
    [
      "```sh",
      "npm run faults                                  # all rows, about half an hour",
      "npm run faults -- --short                       # most rows with short faults, a few minutes",
      "npm run faults -- --rows 1,3 --clients ioredis  # some of them",
      "npm run faults -- --list                        # what the rows are",
      "npm run faults -- --write-docs                  # all rows, and this page from the results",
      "npm run soak -- --minutes 30                    # faults at random, looking for stale reads and leaks",
      "```",
    ].join("\n"),
    "## How to read the figures",
    [
      "- **Errors** are answers that the handler did not give: another status, a broken connection, the content of another request, a damaged body. They must be 0 in every row.",
      "- **Added** is how much longer requests to cached routes took than requests to the same handler without a cache, in the same process in the same seconds: the 50th and the 99th percentile of the one minus that of the other, and the most that any cached request took longer than the uncached ones under way at the same time. Latency counts from when a request was due, not from when it was sent. Near 0, and below, the figures are noise.",
      "- A round trip to Redis is waited for until the **deadline** of 100 ms and no longer. A hit is one round trip; a response that has to be made can be two, the look-up and the lease. After a few failures Redis is left out, so that nothing is waited for, and asked every half second whether it is back.",
      "- **Origin calls** says how often a handler behind a cached route ran, of how many requests to such routes, in the whole row after its warm-up. A quarter of the usual load asks for what nobody asked for before, which is an origin call in any case.",
      "- **Heap** is how many MiB of heap and buffers, after a garbage collection, the process that grew most had more than when it was warm, at the end of the row and wherever the row looked before.",
      "- **Recovered after** is the time from the end of the fault to the first hit, and the longest when there were several; in the failovers of rows 8 and 9 it is the time from their beginning.",
      "- **Leftovers** counts leases that Redis still has a second after all processes ended, processes that did not end by themselves once everything in them was closed, because a timer or a socket was left, and unhandled rejections and exceptions. It is to be 0, but for what row 9 says of node-redis.",
      "- A **stale read** is one that began after a purge was acknowledged and brought what is older. Where a memory tier is in front of Redis it may be behind by its `maxStalenessMs`, which the check allows and nothing more.",
      `- Each row runs with ${clients.join(" and with ")}, made by \`connect\` so that the store can make a new client.`,
    ].join("\n"),
    "Failover times of Sentinel and Cluster are those of servers that call a silent neighbour lost after 1 to 1.5 s. Two cores say nothing about throughput.",
  ].join("\n\n");
}

function overview({ number, title, client, requests, errors, figures, expectations }) {
  const met = expectations.filter(({ isMet }) => isMet).length;
  const cells = Object.keys(COLUMNS).map((name) => shown(figures[name] ?? ""));
  return [number, title, client, grouped(requests), errors, ...cells, `${met} of ${expectations.length}`];
}

function section({ number, title, does, expects }, results, clients) {
  const names = [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))].filter(
    (name) => !(name in COLUMNS),
  );
  const figure = (name, client) => shown(results.find((result) => result.client === client)?.figures[name] ?? "");
  const found = table(
    ["", ...clients],
    names.map((name) => [name, ...clients.map((client) => figure(name, client))]),
  );
  const failed = results.flatMap(({ client, expectations }) =>
    expectations
      .filter(({ isMet }) => !isMet)
      .map(({ text, actual }) => `- Not met with ${client}: ${text}: ${actual}`),
  );
  return [
    `### ${number}. ${title}`,
    `${does}\n\nExpected: ${expects}`,
    ...(names.length === 0 ? [] : [found]),
    ...(failed.length === 0 ? [] : [failed.join("\n")]),
  ];
}

function shown(value) {
  return typeof value === "number" ? grouped(value) : value;
}

function grouped(number) {
  return number.toLocaleString("en-US");
}

/** With its columns aligned, as the formatter of the project wants it. */
function table(head, rows) {
  const cells = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(cells[0]), line(widths.map((width) => "-".repeat(width))), ...cells.slice(1).map(line)].join("\n");
}
