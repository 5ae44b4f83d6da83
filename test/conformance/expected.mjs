/** What expected.json allows, held against what happened. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const FILE = join(import.meta.dirname, "expected.json");

/**
 * What may become of a test: it fails, it is not asked, it is a check whose set-up the cache does not go along with, or the
 * cache asks the origin twice, on purpose.
 */
const LISTS = ["failing", "excluded", "unanswered", "askedTwice"];

/**
 * What is expected of a profile: for each list the reasons by the id of the test, and in `groups` what the profile adds to
 * the one it is `like`. Nothing, for a suite that the file does not know.
 */
export function expectationsFor(suite, profile) {
  const profiles = JSON.parse(readFileSync(FILE, "utf8"))[suite.name] ?? {};
  const own = profiles[profile] ?? {};
  const base = profiles[own.like] ?? {};
  const expected = { like: own.like, groups: Object.fromEntries(LISTS.map((list) => [list, own[list] ?? []])) };
  for (const list of LISTS) expected[list] = byId(suite, [...(base[list] ?? []), ...expected.groups[list]]);
  for (const id of expected.excluded.keys()) expected.failing.delete(id);
  return expected;
}

function byId(suite, groups) {
  const known = new Set(suite.tests.map(({ id }) => id));
  const reasons = new Map();
  for (const { reason, tests } of groups) {
    for (const id of tests) {
      if (!known.has(id)) throw new Error(`expected.json: suite ${suite.name} has no test ${id}.`);
      if (reasons.has(id)) throw new Error(`expected.json: ${id} is listed twice for ${suite.name}.`);
      if (typeof reason !== "string" || reason === "") throw new Error(`expected.json: ${id} has no reason.`);
      reasons.set(id, reason);
    }
  }
  return reasons;
}

/** True for a result that says nothing about the cache: the harness itself had trouble. */
function isTrouble(result) {
  if (result === true) return false;
  if (result === undefined) return true;
  const [name, message] = result;
  if (name !== "Setup") return name !== "Assertion";
  return message === "retry" || message.startsWith("PUT config") || /^Response 1 status is 50[234]/.test(message);
}

/** The lines that must not be there: unlisted failures, listed ones that do not happen, trouble of the harness. */
export function deviations(suite, results, expected) {
  const lines = [];
  for (const { id, kind, browserOnly } of suite.tests) {
    if (browserOnly || expected.excluded.has(id)) continue;
    const result = results[id];
    const outcome = suite.outcome(id, results);
    const isListed = (kind === "check" ? expected.unanswered : expected.failing).has(id);
    const isOff = kind === "check" ? outcome === "setup" : outcome !== "pass";
    const said = `${kind} ${id}: ${outcome}${Array.isArray(result) ? ` (${result.join(": ")})` : ""}`;
    const isAskedTwice = expected.askedTwice.has(id) && Array.isArray(result) && result[1] === "retry";
    if (isTrouble(result) && !isAskedTwice) lines.push(`trouble of the harness: ${said}`);
    else if (isOff && !isListed) lines.push(`not listed: ${said}`);
    else if (isListed && !isOff) lines.push(`listed, but no longer so: ${said}`);
  }
  return lines;
}
