import { spawnSync } from "node:child_process";
import { delimiter, dirname, join } from "node:path";
import { defineConfig } from "vitest/config";
import { SlowFirst } from "./test/harness/slow-first.ts";

// The tests start hundreds of processes from sources. They share compiled code through this cache.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/towpath-tests/compiled");

// The `python3` of a version manager is a script that looks for the real one at each start, which takes longer than Python's own start.
const python = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" });
const pythonFolder = dirname(python.stdout?.trim() || "/none");
const folders = (process.env.PATH ?? "").split(delimiter);
if (python.status === 0 && !folders.includes(pythonFolder))
  process.env.PATH = [pythonFolder, ...folders].join(delimiter);

const components = ["test/components/**/*.test.ts"];
const include = ["{sdk,services,worker,test,infra}/**/*.test.{ts,tsx,mjs}"];
const exclude = ["**/node_modules/**", "**/dist/**"];
/** Suites that take minutes, with whole installations or a browser: `npm run test:long`. */
const long = [
  "infra/systemd/under-systemd.test.ts",
  "sdk/cli/src/attack/every-attack.test.ts",
  "sdk/cli/src/chaos/chaos.test.ts",
  "test/bench/smoke.test.ts",
  "test/browser/*.test.ts",
  "test/canary/canary.test.ts",
  "test/chaos/{attack-mutations,mutations,python-mutations,short}.test.ts",
  "test/docs/{backup-and-restore,code-registries,set-up}.test.ts",
  "test/e2e/{dev-sealed,job-takeover,remote-ledger,replay,rotated-keys,sealed,sealed-jobs,signers,stored-logs,upgrade}.test.ts",
  "test/package/package.test.ts",
  "test/python/{killed-anywhere,many-calls,mutations,other-interpreters,type-checkers}.test.ts",
  "worker/src/behind-walls.test.ts",
];
/** Tests that measure a process's memory, set its timers by hand, or run a worker in it: each file gets its own process. */
const alone = [
  "sdk/flow/src/{gateway/session,task/map,task/time-limit}.test.ts",
  "services/control/src/kernel/http/admission.test.ts",
  "worker/src/*.test.ts",
  "worker/src/{environments,launch,protocol,secrets}/**/*.test.ts",
];

export default defineConfig({
  test: {
    environment: "node",
    globalSetup: ["./test/harness/postgres-setup.ts"],
    // Tests start real databases, workers and compilers, and often wait for them. Three files at a time keep a small machine busy.
    pool: "forks",
    maxWorkers: 3,
    sequence: { sequencer: SlowFirst },
    // Limits end what hangs. They are long, because a busy machine may be many times slower.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 60_000,
    expect: { poll: { timeout: 120_000 } },
    // Files share a process, and so the modules that most of them import: loading those anew took a third of the time.
    isolate: false,
    projects: [
      {
        extends: true,
        test: { name: "tests", include, exclude: [...exclude, ...alone, ...long, ...components] },
      },
      {
        extends: true,
        test: { name: "alone", include: alone, exclude: [...exclude, ...long], isolate: true },
      },
      { extends: true, test: { name: "long", include: long } },
      { extends: true, test: { name: "components", include: components, passWithNoTests: true } },
    ],
  },
});
