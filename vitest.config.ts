import { join } from "node:path";
import { defineConfig } from "vitest/config";

// Hundreds of processes are started from sources: each finds here what an earlier one has compiled.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/towpath-tests/compiled");

const include = ["{sdk,services,worker,test,infra}/**/*.test.{ts,tsx,mjs}"];
const exclude = ["**/node_modules/**", "**/dist/**"];
/** Suites that take minutes, with whole installations or in a browser: `npm run test:long`. */
const long = [
  "sdk/cli/src/chaos/chaos.test.ts",
  "test/bench/smoke.test.ts",
  "test/browser/*.test.ts",
  "test/chaos/{short,mutations}.test.ts",
  "test/docs/{backup-and-restore,set-up}.test.ts",
  "test/e2e/{job-takeover,upgrade}.test.ts",
  "test/package/package.test.ts",
];
/** These measure what a process holds, or run a worker in it: each has one to itself. */
const alone = ["sdk/flow/src/task/map.test.ts", "worker/src/**/*.test.ts"];

export default defineConfig({
  test: {
    environment: "node",
    globalSetup: ["./test/harness/postgres-setup.ts"],
    // Tests start real databases, workers and compilers: two at a time is what a small machine carries.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    // Files share a process, and so the modules that most of them import: loading these anew took a third of all the time.
    isolate: false,
    projects: [
      { extends: true, test: { name: "tests", include, exclude: [...exclude, ...alone, ...long] } },
      { extends: true, test: { name: "alone", include: alone, isolate: true } },
      { extends: true, test: { name: "long", include: long } },
    ],
  },
});
