/** A checkout of http-cache-tests, in the layout of the published version or of the newer repository. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** The words for what the suite's own scoring answers with signs. */
const OUTCOMES = {
  "-": "not-run",
  "✅": "pass",
  "⛔️": "fail",
  "⚠️": "fail",
  Y: "yes",
  N: "no",
  "🔹": "setup",
  "⁉️": "harness",
  "⚪️": "dependency",
  "↻": "retry",
};

const load = (...path) => import(pathToFileURL(join(...path)).href);

/**
 * Reads a suite.
 *
 * `name` is what expected.json calls it: the version where it was published, else `git-` and the number of its tests.
 * `tests` has every test with its `kind`; those for browsers only are marked, because no proxy is ever asked them.
 */
export async function loadSuite(folder) {
  const directory = resolve(folder);
  if (!existsSync(join(directory, "tests/index.mjs")))
    throw new Error(`${directory} is no checkout of http-cache-tests.`);
  const isNewer = existsSync(join(directory, "test-engine"));
  const engine = isNewer ? join(directory, "test-engine") : directory;
  const { default: suites } = await load(directory, "tests/index.mjs");
  const { determineTestResult } = await load(engine, isNewer ? "lib/results.mjs" : "lib/display.mjs");
  const tests = suites.flatMap((suite) =>
    suite.tests.map(({ id, kind = "required", browser_only: browserOnly = false }) => ({ id, kind, browserOnly })),
  );
  const { version } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  return {
    name: isNewer ? `git-${tests.length}` : version,
    directory,
    engine,
    isNewer,
    suites,
    tests,
    /** What became of a test, dependencies honoured: the suite's own verdict in a word. */
    outcome: (id, results) => OUTCOMES[determineTestResult(suites, id, results, true)[2]],
  };
}

/** Passed and asked, for each kind of test. `isAsked` says which tests count. */
export function score(suite, results, isAsked = () => true) {
  const count = (kind) => {
    const asked = suite.tests.filter((test) => test.kind === kind && !test.browserOnly && isAsked(test.id));
    const passed = asked.filter(({ id }) => ["pass", "yes"].includes(suite.outcome(id, results)));
    return { passed: passed.length, asked: asked.length };
  };
  return { required: count("required"), optimal: count("optimal"), check: count("check") };
}

/** Scores of the proxies and content delivery networks whose results come with the suite. */
export async function recordedScores(suite) {
  const { default: caches } = await load(suite.directory, "results/index.mjs");
  return caches
    .filter(({ type }) => type !== "browser")
    .map(({ name, version, file }) => {
      const results = JSON.parse(readFileSync(join(suite.directory, "results", file), "utf8"));
      return { name, version, score: score(suite, results) };
    })
    .sort((a, b) => b.score.required.passed - a.score.required.passed);
}
