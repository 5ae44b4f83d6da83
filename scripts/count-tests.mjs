// Prints "<passed> <failed>" for a JSON report of vitest. What did not run counts as failed:
// a skipped or todo test, a file that could not be loaded, a report that is missing or empty.
import { readFileSync } from "node:fs";

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

const { passed, failed } = count(read(process.argv[2]));
console.log(`${passed} ${failed}`);
