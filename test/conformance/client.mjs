/** One run of the suite's client. A process of its own, because the suite keeps the results in its modules. */
import { createRequire, register } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// A bare checkout has no undici; ours does for it.
register(new URL("undici-hook.mjs", import.meta.url));

const load = (...path) => import(pathToFileURL(join(...path)).href);

async function run({ directory, engine, isNewer, base, ids, isLoud }) {
  const { default: suites } = await load(directory, "tests/index.mjs");
  const { runTests, getResults } = await load(engine, "client/runner.mjs");
  const wanted = new Set(ids);
  const chosen = suites.map((part) => ({ ...part, tests: part.tests.filter((test) => wanted.has(test.id)) }));
  if (isLoud) for (const part of chosen) for (const test of part.tests) test.dump = true;
  if (isNewer) await runTests(chosen, false, base);
  else await runTests(chosen, createRequire(import.meta.url)("node-fetch"), false, base);
  return getResults();
}

process.once("message", (task) => {
  void run(task).then((results) => process.send(results));
});
