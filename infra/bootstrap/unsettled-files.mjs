import { writeFileSync } from "node:fs";

/** The variable with the path where this reporter writes. */
export const UNSETTLED_FILES_VARIABLE = "TOWPATH_UNSETTLED_FILES";

/**
 * A reporter of vitest: writes which test files did not pass, and how many errors belong to no file, as JSON
 * `{ "files": [path], "otherErrors": count }`. A file whose process ended early did not pass either.
 */
export default class UnsettledFiles {
  onTestRunEnd(modules, otherErrors) {
    const files = modules
      .filter((one) => !["passed", "skipped"].includes(one.state()))
      .map((one) => one.moduleId);
    const path = process.env[UNSETTLED_FILES_VARIABLE];
    if (path)
      writeFileSync(path, JSON.stringify({ files: [...new Set(files)], otherErrors: otherErrors.length }));
  }
}
