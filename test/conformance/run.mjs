/** Runs the public suite for HTTP caches against Reprise: `npm run conformance -- --help`. */
import { join } from "node:path";
import { parseArgs } from "node:util";

import { installLocked } from "../../scripts/install-locked.mjs";
import { docsProblem, writeDocs } from "./docs.mjs";
import { deviations, expectationsFor } from "./expected.mjs";
import { runOnce } from "./processes.mjs";
import { loadSuite, score } from "./suite.mjs";

const PROFILES = ["rfc9111-shared", "proxy", "middleware"];

const HELP = `Usage: npm run conformance -- [flags]

Runs the public suite for HTTP caches (http-cache-tests) against Reprise and compares with test/conformance/expected.json.
Exits with 1 when a test fails that is not listed there, when a listed one passes, and on any trouble of the harness.

  --suite <folder>   a checkout of the suite's repository, instead of the published version
  --profile <name>   only this one: ${PROFILES.join(", ")}
  --runs <n>         so many runs, which must all be identical (default: 1)
  --id <test>        only this test, with everything that was sent
  --checks           list the results of the checks, which have no right answer
  --write-docs       put the figures of this run into docs/conformance.md
  --help             show this help
`;

const OPTIONS = {
  suite: { type: "string" },
  profile: { type: "string" },
  runs: { type: "string", default: "1" },
  id: { type: "string" },
  checks: { type: "boolean", default: false },
  "write-docs": { type: "boolean", default: false },
  help: { type: "boolean", default: false },
};

process.exitCode = await main().catch((error) => {
  console.error(`conformance: ${error.message}`);
  return 1;
});

async function main() {
  const { values: flags } = parseArgs({ options: OPTIONS });
  if (flags.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const runs = Number(flags.runs);
  if (!Number.isInteger(runs) || runs < 1)
    throw new Error(`--runs ${String(flags.runs)}: expected a whole number from 1.`);
  if (flags.profile !== undefined && !PROFILES.includes(flags.profile)) {
    throw new Error(`--profile ${String(flags.profile)}: expected one of ${PROFILES.join(", ")}.`);
  }
  const suite = await loadSuite(flags.suite ?? installSuite());
  const profiles = flags.profile === undefined ? PROFILES : [flags.profile];
  if (flags.id !== undefined) return showTest(suite, profiles[0], flags.id);
  return runSuite(suite, profiles, runs, flags);
}

/** The folder of the published suite. */
function installSuite() {
  installLocked(import.meta.dirname, "the published suite");
  return join(import.meta.dirname, "node_modules/http-cache-tests");
}

/** Runs one test and what it sends; its dependencies do not count. */
async function showTest(suite, profile, id) {
  if (!suite.tests.some((test) => test.id === id)) throw new Error(`--id ${id}: suite ${suite.name} has no such test.`);
  const results = await runOnce(suite, profile, [id], true);
  console.log(`${id} (${profile}): ${[results[id]].flat().join(": ")}`);
  return results[id] === true ? 0 : 1;
}

async function runSuite(suite, profiles, runs, flags) {
  const asked = suite.tests.filter((test) => !test.browserOnly);
  const browserOnly = suite.tests.length - asked.length;
  console.log(
    `Suite ${suite.name}: ${suite.tests.length} tests, of which ${browserOnly} are for browsers only and never run.`,
  );
  const reports = new Map();
  let isGood = true;
  for (let run = 1; run <= runs; run += 1) {
    const finished = await Promise.all(profiles.map((profile) => runProfile(suite, profile)));
    if (runs > 1) console.log(`Run ${run} of ${runs}`);
    for (const report of finished) {
      const { profile } = report;
      const lines = [...report.lines, ...differences(reports.get(profile), report)];
      print(report, lines, flags.checks ? suite.tests.filter(({ kind }) => kind === "check") : []);
      isGood &&= lines.length === 0;
      if (!reports.has(profile)) reports.set(profile, report);
    }
  }
  if (profiles.length < PROFILES.length || !isGood) return isGood ? 0 : 1;
  if (flags["write-docs"]) await writeDocs(suite, [...reports.values()]);
  const problem = await docsProblem(suite, [...reports.values()]);
  if (problem !== undefined) console.log(`\n${problem}`);
  return problem === undefined ? 0 : 1;
}

/** One run of all tests that the profile is asked. */
async function runProfile(suite, profile) {
  const expected = expectationsFor(suite, profile);
  const isAsked = (id) => !expected.excluded.has(id);
  const ids = suite.tests.map(({ id }) => id).filter(isAsked);
  const results = await runOnce(suite, profile, ids, false);
  return {
    profile,
    expected,
    results,
    outcomes: ids.map((id) => [id, suite.outcome(id, results)]),
    score: score(suite, results, isAsked),
    lines: deviations(suite, results, expected),
  };
}

/** The tests that did not end as in the first run. */
function differences(first, { outcomes }) {
  if (first === undefined) return [];
  const before = new Map(first.outcomes);
  return outcomes
    .filter(([id, outcome]) => before.get(id) !== outcome)
    .map(([id, outcome]) => `not as in run 1: ${id}: ${outcome}, was ${before.get(id)}`);
}

function print({ profile, expected, score, outcomes }, lines, checks) {
  const part = (kind) => `${score[kind].passed}/${score[kind].asked}`;
  const unasked = expected.excluded.size === 0 ? "" : `, ${expected.excluded.size} not asked`;
  console.log(
    `${profile.padEnd(15)} required ${part("required")}, optimal ${part("optimal")}, checks ${part("check")} ` +
      `(${expected.failing.size} expected failures${unasked})`,
  );
  const outcomeOf = new Map(outcomes);
  for (const { id } of checks) if (outcomeOf.has(id)) console.log(`  check ${id}: ${outcomeOf.get(id)}`);
  for (const line of lines) console.log(`  ${line}`);
}
