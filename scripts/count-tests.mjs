// Prints "<passed> <failed>" for a JSON report of vitest, then a line for each test that failed. What did not run counts as
// failed: a skipped or todo test, a file that could not be loaded, a report that is missing or empty.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const MESSAGE_CHARACTERS = 300;

/** Counts of one report; `undefined` stands for a report that could not be read. */
function count(report) {
  if (report === undefined) return { passed: 0, failed: 1 };
  const passed = report.numPassedTests;
  const unloaded = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
  const failed = report.numTotalTests - passed + unloaded.length;
  // Errors outside of any test, and a run that found no test, fail the run without failing a test.
  const failedOtherwise = failed === 0 && (passed === 0 || !report.success);
  return { passed, failed: failedOtherwise ? 1 : failed };
}

function read(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** File, name and message of each test that failed, and of each file that could not be loaded. */
function failures(report) {
  return (report?.testResults ?? []).flatMap((file) => {
    const path = relative(process.cwd(), file.name);
    if (file.status === "failed" && file.assertionResults.length === 0) return [`${path}: ${oneLine(file.message)}`];
    const failed = file.assertionResults.filter(({ status }) => status !== "passed");
    return failed.map((test) => `${path} > ${test.fullName}: ${oneLine(test.failureMessages?.[0] ?? test.status)}`);
  });
}

function oneLine(text = "") {
  return text.replace(/\s+/g, " ").slice(0, MESSAGE_CHARACTERS);
}

const report = read(process.argv[2]);
const { passed, failed } = count(report);
console.log(`${passed} ${failed}`);
for (const failure of failures(report)) console.log(failure);
