/** What a run prints. */

/** Figures that have a column, with its heading. */
export const COLUMNS = {
  "added p50 ms": "added p50",
  "added p99 ms": "p99",
  "added max ms": "max",
  "origin calls": "origin calls",
  "heap MiB": "heap MiB",
  "recovered after ms": "recovered after",
  leftovers: "leftovers",
};

/** Said once above the table. */
export const EMPTY_CELLS =
  "Added latency is empty in rows whose load is only for cached routes, so that there is nothing to compare it with.";

/** One line for a finished row, and what it did not meet. */
export function printResult({ number, title, client, seconds, requests, errors, problems, figures, expectations }) {
  const failed = expectations.filter(({ isMet }) => !isMet);
  const isGood = failed.length === 0 && errors === 0;
  const shown = Object.entries(figures).map(([name, value]) => `${name} ${value}`);
  console.log(
    `${isGood ? "ok  " : "FAIL"} ${String(number).padStart(2)} ${title}, ${client} (${seconds} s): ` +
      `${requests} requests, ${errors} errors; ${shown.join(", ")}`,
  );
  for (const problem of problems) console.log(`       error: ${problem}`);
  for (const { text, actual } of failed) console.log(`       not met: ${text}: ${actual}`);
}

export function printTable(results) {
  const head = ["#", "fault", "client", "requests", "errors", ...Object.keys(COLUMNS), "expectations"];
  const rows = results.map(({ number, title, client, requests, errors, figures, expectations }) => [
    number,
    title,
    client,
    requests,
    errors,
    ...Object.keys(COLUMNS).map((name) => figures[name] ?? ""),
    `${expectations.filter(({ isMet }) => isMet).length} of ${expectations.length} met`,
  ]);
  const cells = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  console.log(`\n${EMPTY_CELLS}\n`);
  for (const row of cells) console.log(row.map((cell, column) => cell.padEnd(widths[column])).join("  "));
  console.log("");
}

export function lastLine(results, rows, clients) {
  const errors = results.reduce((sum, result) => sum + result.errors, 0);
  const failed = results.flatMap(({ expectations }) => expectations).filter(({ isMet }) => !isMet).length;
  return {
    text: `faults: ${rows} rows × ${clients} clients, ${errors} errors caused by the cache, ${failed} expectations not met`,
    isGood: errors === 0 && failed === 0,
  };
}
