/**
 * Reads a JSON report of vitest and prints `passed failed skipped`. Plain JavaScript without
 * dependencies, so that it can say "1 failed" even when the install has failed.
 *
 *     node scripts/count-tests.mjs report.json <exit code of vitest>
 */
import { readFileSync } from "node:fs";

const [file = "", status = "1"] = process.argv.slice(2);
let passed = 0;
let failed = 0;
let skipped = 0;
try {
  const report = JSON.parse(readFileSync(file, "utf8"));
  passed = report.numPassedTests;
  failed = report.numFailedTests;
  skipped = report.numPendingTests + report.numTodoTests;
  for (const { status: suite, assertionResults, name } of report.testResults) {
    // A file that cannot be loaded has no tests, so vitest counts none as failed.
    if (suite === "failed" && !assertionResults.some((test) => test.status === "failed")) {
      console.error(`failed outside of any test: ${name}`);
      failed++;
    }
    for (const test of assertionResults) {
      if (test.status === "failed") console.error(`failed: ${test.fullName}`);
    }
  }
} catch (error) {
  console.error(`no test report: ${error.message}`);
  failed++;
}
// An unhandled rejection or a threshold fails the run without failing a test.
if (failed === 0 && status !== "0") failed++;
console.log(`${passed} ${failed} ${skipped}`);
