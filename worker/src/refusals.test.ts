import { existsSync } from "node:fs";
import { rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { derivedId, type SpecInput, uuidv7 } from "@towpath/contract";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sleep } from "./host/index.ts";
import type { WorkerSettings } from "./settings.ts";
import { linesOf } from "./testing/fake-attempt.fixture.ts";
import { WorkerTestEnv } from "./testing/test-env.fixture.ts";

let testEnv: WorkerTestEnv;
beforeEach(async () => {
  testEnv = await WorkerTestEnv.open();
});
afterEach(async () => {
  await testEnv.close();
});

const flag = () => join(testEnv.dir, "launched");
const touch = () => `(await import("node:fs")).writeFileSync(${JSON.stringify(flag())}, "");`;

interface Refused {
  readonly spec?: Partial<SpecInput>;
  readonly settings?: Partial<WorkerSettings>;
  readonly says: RegExp;
}

const git = (digest: string) => ({ code: { kind: "git", registry: "code", digest } }) as const;
const gitRegistry = { registries: { code: { kind: "git", url: "file:///nowhere" } } } as const;

/** Signed specs that this worker must refuse. Each message ends with what to do. */
const REFUSED: Record<string, Refused> = {
  "another pool": {
    spec: { pools: ["gpu"] },
    says: /may run in gpu, not in this worker's pool "local".*Deploy it with this pool/,
  },
  "another workspace": {
    spec: { workspaceId: "01900000-0000-7000-8000-000000000001" },
    says: /another workspace. Deploy it to this one/,
  },
  "a version below its floor": {
    spec: { floor: 2 },
    says: /Version 1 is older than 2.*Start the run from a later version/,
  },
  "a time that has passed": {
    spec: { expiresAt: "2026-01-01T00:00:00.000Z" },
    says: /expired at 2026-01-01.*Deploy it again/,
  },
  "a registry that is not allowed": {
    settings: { registries: {} },
    says: /no oci-layout registry called "local". Add it under "registries"/,
  },
  "a registry by the name of something every object has": {
    spec: { code: { kind: "oci-layout", registry: "constructor", digest: `sha256:${"0".repeat(64)}` } },
    says: /no oci-layout registry called "constructor"/,
  },
  "a git ref that begins with a dash": {
    spec: { code: git("--upload-pack=touch /tmp/evil").code },
    settings: gitRegistry,
    says: /does not understand the signed spec/,
  },
  "a branch instead of a commit": {
    spec: git("main"),
    settings: gitRegistry,
    says: /does not understand the signed spec/,
  },
  "a module outside of the code": {
    spec: { entry: { kind: "flow", module: "../../evil.mjs", export: "main" } },
    says: /does not understand the signed spec/,
  },
  "an interpreter of Python that this worker does not have": {
    spec: {
      entry: {
        kind: "python",
        module: "train.py",
        function: "train",
        environment: { kind: "interpreter", name: "conda" },
      },
    },
    says: /no interpreter called "conda". Add it to python.interpreters/,
  },
  "a Python module outside of the code": {
    spec: { entry: { kind: "python", module: "../evil.py", function: "evil" } },
    says: /does not understand the signed spec/,
  },
  "a field that nobody knows": {
    spec: { hostPath: "/" } as Partial<SpecInput>,
    says: /does not understand the signed spec.*update the worker/,
  },
};

describe("a signed spec is refused that asks for", () => {
  for (const [what, { spec = {}, settings = {}, says }] of Object.entries(REFUSED)) {
    test(`${what}`, async () => {
      await testEnv.start(settings);
      const attempt = testEnv.plane.submit(await testEnv.deployFlow(touch(), spec));
      const ended = await testEnv.plane.untilEnded(attempt);
      expect(ended).toMatchObject({ outcome: "refused", cause: "refused" });
      expect(ended.error?.message).toMatch(says);
      expect(attempt.control.map(({ type }) => type)).toEqual(["ended"]);
      expect(existsSync(flag())).toBe(false);
    });
  }
});

test("an old version that was signed before a higher floor is refused, also after a restart of the worker", async () => {
  const worker = await testEnv.start();
  const old = await testEnv.deployFlow(touch());
  const newer = await testEnv.deployFlow("", { version: 3, floor: 3 });
  await testEnv.plane.untilEnded(testEnv.plane.submit(newer));
  await worker.stopNow();
  await testEnv.start();
  const ended = await testEnv.plane.untilEnded(testEnv.plane.submit(old));
  expect(ended).toMatchObject({ outcome: "refused" });
  expect(ended.error?.message).toContain("Version 1 is older than 3");
  expect(existsSync(flag())).toBe(false);
});

test("unsigned fields beside the spec change nothing: they must agree with it, or the attempt is refused", async () => {
  await testEnv.start();
  const spec = await testEnv.deployFlow(touch());
  for (const beside of [{ deployment: "another" }, { version: 2 }]) {
    const ended = await testEnv.plane.untilEnded(testEnv.plane.submit({ ...spec, ...beside }));
    expect(ended).toMatchObject({ outcome: "refused", cause: "refused" });
  }
  expect(existsSync(flag())).toBe(false);
});

const ENTRIES = {
  "a path that climbs out": { name: "../evil.mjs", content: "" },
  "an absolute path": { name: "/tmp/evil.mjs", content: "" },
} as const;

describe("code is refused whose archive holds", () => {
  for (const [what, entry] of Object.entries(ENTRIES)) {
    test(what, async () => {
      await testEnv.start();
      const digest = await testEnv.layout.putCode([entry]);
      const spec = await testEnv.deployFlow(touch(), {
        code: { kind: "oci-layout", registry: "local", digest },
      });
      const ended = await testEnv.plane.untilEnded(testEnv.plane.submit(spec));
      expect(ended).toMatchObject({ outcome: "refused", cause: "refused" });
      expect(ended.error?.message).toContain("Remove the named entry from the project and deploy again.");
    });
  }

  test("a path through a link", async () => {
    await testEnv.start();
    const digest = await testEnv.layout.putCode([
      { name: "out", type: "symlink", linkname: ".", content: "" },
      { name: "out/evil.mjs", content: "" },
    ]);
    const spec = await testEnv.deployFlow(touch(), {
      code: { kind: "oci-layout", registry: "local", digest },
    });
    const ended = await testEnv.plane.untilEnded(testEnv.plane.submit(spec));
    expect(ended).toMatchObject({ outcome: "refused", cause: "refused" });
    expect(ended.error?.message).toContain("is a link and a directory at once");
  });
});

test("parameters never reach arguments, environment, paths or code", async () => {
  await testEnv.start();
  const evil = `$(touch ${flag()}); --help ../../x`;
  const spec = await testEnv.deploy(
    { "show.sh": 'printf "%s|" "$@"; env; pwd' },
    { entry: { kind: "command", argv: ["sh", "show.sh", "fixed"] } },
  );
  const attempt = testEnv.plane.submit({
    ...spec,
    parameters: { PATH: evil, LD_PRELOAD: evil, "../x": evil },
  });
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  const printed = JSON.stringify(attempt.bulk);
  expect(printed).toContain("fixed|");
  expect(printed).not.toContain("touch");
  expect(existsSync(flag())).toBe(false);
});

test("a command sees the defaults of its parameters", async () => {
  await testEnv.start();
  const spec = await testEnv.deploy(
    { "show.sh": 'cat "$TOWPATH_PARAMETERS_FILE"' },
    {
      entry: { kind: "command", argv: ["sh", "show.sh"] },
      parameters: { type: "object", properties: { rows: { type: "integer", default: 3 } } },
    },
  );
  const attempt = testEnv.plane.submit({ ...spec, parameters: {} });
  expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
  expect(JSON.stringify(linesOf(attempt))).toContain(String.raw`{\"rows\":3}`);
});

test("messages about a fault of the worker name no address of its network", async () => {
  await testEnv.start();
  const code = { kind: "oci-layout", registry: "local", digest: `sha256:${"0".repeat(64)}` } as const;
  const missing = testEnv.plane.submit(await testEnv.deployFlow("", { code }));
  await testEnv.plane.until("it was given back", () => missing.control.length > 0);
  expect(missing.control[0]).toMatchObject({ type: "released" });
  expect(JSON.stringify(missing.control)).not.toContain(testEnv.dir);
});

test("a run whose secret is missing is given back with that reason, and does not delay the worker's other runs", async () => {
  await testEnv.start({ breakerFailures: 2 });
  const lacking = await testEnv.deployFlow("", { secrets: [{ name: "token" }] });
  for (const _ of [1, 2, 3]) {
    const attempt = testEnv.plane.submit(lacking);
    await testEnv.plane.until("it was given back", () => attempt.control.length > 0);
    const reason = /^The secret "token" has no value on this worker\. Add it under "secrets"/;
    expect(attempt.control).toMatchObject([
      { type: "released", code: "secret-missing", reason: expect.stringMatching(reason) },
    ]);
  }
  const other = testEnv.plane.submit(await testEnv.deployFlow(""));
  expect(await testEnv.plane.untilEnded(other)).toMatchObject({ outcome: "completed" });
  expect(testEnv.plane.claims.filter(({ free }) => free === 0)).toEqual([]);
});

test("refused runs of one version are given back after a few, with the reason, and delay no other deployment", async () => {
  await testEnv.start({ refusalsInRow: 2, breakerFailures: 2 });
  const spec = await testEnv.deployFlow(touch());
  const forged = { ...spec, spec: `${spec.spec.slice(0, -20)}${"A".repeat(20)}` };
  for (const _ of [1, 2])
    expect(await testEnv.plane.untilEnded(testEnv.plane.submit(forged))).toMatchObject({
      outcome: "refused",
    });
  const third = testEnv.plane.submit(forged);
  await testEnv.plane.until("it was given back", () => third.control.length > 0);
  expect(third.control).toMatchObject([
    {
      type: "released",
      reason: expect.stringMatching(
        /^This worker refused the last 2 runs of version 1 of ".*", and takes no other one for \d s\. The last refusal: The spec's signature is wrong/,
      ),
    },
  ]);
  const other = await testEnv.deployFlow("", { deployment: "other" });
  expect(await testEnv.plane.untilEnded(testEnv.plane.submit(other))).toMatchObject({ outcome: "completed" });
  // A newer version is looked at at once.
  const newer = await testEnv.deployFlow("", { version: 2 });
  expect(await testEnv.plane.untilEnded(testEnv.plane.submit(newer))).toMatchObject({ outcome: "completed" });
  expect(testEnv.plane.claims.filter(({ free }) => free === 0)).toEqual([]);
});

test("runs with parameters that their schema refuses delay no other run of the version", async () => {
  await testEnv.start({ refusalsInRow: 2, breakerFailures: 2 });
  const properties = { kind: { enum: ["canary-of-a-schema"] } };
  const spec = await testEnv.deployFlow("", { parameters: { type: "object", properties } });
  for (const kind of ["a", "b", "c"]) {
    const wrong = testEnv.plane.submit({ ...spec, parameters: { kind } });
    expect(await testEnv.plane.untilEnded(wrong)).toMatchObject({
      outcome: "refused",
      cause: "invalid-parameters",
    });
  }
  const right = testEnv.plane.submit({ ...spec, parameters: { kind: "canary-of-a-schema" } });
  expect(await testEnv.plane.untilEnded(right)).toMatchObject({ outcome: "completed" });
});

test("the reason why a run is given back has no names of parameters, which a sealed workspace hides", async () => {
  await testEnv.start({ refusalsInRow: 2 });
  const spec = await testEnv.deployFlow("");
  const ref = { uri: "file:///x", codec: "json", sizeBytes: 2, sha256: "a".repeat(64) };
  const submit = async (n: number) => {
    const runId = await derivedId(uuidv7(Date.now()), `start-run ${n}`);
    return testEnv.plane.submit({ ...spec, runId, parameters: { "canary-of-a-name": ref } });
  };
  for (const n of [1, 2])
    expect(await testEnv.plane.untilEnded(await submit(n))).toMatchObject({
      outcome: "refused",
      error: { message: expect.stringContaining("canary-of-a-name") },
    });
  const third = await submit(3);
  await testEnv.plane.until("it was given back", () => third.control.length > 0);
  expect(third.control).toMatchObject([
    { type: "released", reason: expect.stringContaining("The worker refused a ref in the parameters") },
  ]);
  expect(JSON.stringify(third.control)).not.toContain("canary");
});

test("a run that lacks as many secrets as a version can list is given back with a reason that is accepted", async () => {
  await testEnv.start();
  const secrets = Array.from({ length: 64 }, (_, index) => ({ name: `s${index}`.padEnd(63, "x") }));
  const attempt = testEnv.plane.submit(await testEnv.deployFlow("", { secrets }));
  await testEnv.plane.until("it was given back", () => attempt.control.length > 0);
  expect(attempt.control).toMatchObject([
    {
      type: "released",
      code: "secret-missing",
      reason: expect.stringMatching(/such as TOWPATH_SECRET_S0X+\.$/),
    },
  ]);
});

test("a long message of each kind is cut to what the control plane accepts", async () => {
  const file = join(testEnv.dir, "f".repeat(120));
  const names = Array.from({ length: 64 }, (_, index) => `s${index}`);
  await testEnv.start({ secrets: Object.fromEntries(names.map((name) => [name, { file }])) });
  const spec = await testEnv.deployFlow("", { secrets: names.map((name) => ({ name })) });
  const attempt = testEnv.plane.submit(spec);
  await testEnv.plane.until("it was given back", () => attempt.control.length > 0);
  expect(attempt.control).toMatchObject([{ type: "released", code: "secret-missing" }]);
});

test("a run whose secret's file cannot be read now is given back without that reason", async () => {
  const file = join(testEnv.dir, "token");
  await writeFile(file, "");
  await testEnv.start({ secrets: { token: { file } } });
  const attempt = testEnv.plane.submit(await testEnv.deployFlow("", { secrets: [{ name: "token" }] }));
  await testEnv.plane.until("it was given back", () => attempt.control.length > 0);
  expect(attempt.control).toMatchObject([{ type: "released" }]);
  expect(attempt.control[0]).not.toHaveProperty("code");
});

describe("where no journal can be opened", () => {
  const failures = () =>
    testEnv.logged.filter((line) => line.includes("could not be written to the journal")).length;

  /** Puts a file at the path of the journals. Returns a function that restores them in one step. */
  async function takeJournals(): Promise<() => Promise<void>> {
    const journals = join(testEnv.dir, "state", "journals");
    const swap = async (target: string) => {
      await symlink(target, `${journals}-link`);
      await rename(`${journals}-link`, journals);
    };
    await rename(journals, `${journals}-away`);
    await writeFile(`${journals}-file`, "no folder");
    await swap(`${journals}-file`);
    return () => swap(`${journals}-away`);
  }

  test("an attempt is given back once that can be journaled, and its slot is free", async () => {
    await testEnv.start({ capacity: 1 });
    const putBack = await takeJournals();
    const attempt = testEnv.plane.submit(await testEnv.deployFlow(touch()));
    await testEnv.plane.until("its end could not be written to the journal", () => failures() > 0);
    expect(attempt.control).toEqual([]);
    await putBack();
    await testEnv.plane.until("it was given back", () => attempt.control.length > 0);
    expect(attempt.control).toMatchObject([{ type: "released" }]);
    const other = testEnv.plane.submit(await testEnv.deployFlow(touch()));
    expect(await testEnv.plane.untilEnded(other)).toMatchObject({ outcome: "completed" });
  });

  test("an attempt is let go after a while, and runs when it is given once more", async () => {
    // Every pause is shortened.
    await testEnv.start(
      { capacity: 1, breakerFailures: 50 },
      { sleep: (ms, signal) => sleep(ms / 20, signal) },
    );
    const putBack = await takeJournals();
    const attempt = testEnv.plane.submit(await testEnv.deployFlow(touch()));
    await testEnv.plane.until("its end could not be written to the journal", () => failures() > 0);
    // It is not given again before its journal can be opened: otherwise all this would begin anew.
    testEnv.plane.failing = "unavailable";
    await testEnv.plane.until("it has been tried often enough", () => failures() === 5);
    await putBack();
    testEnv.plane.failing = null;
    expect(await testEnv.plane.untilEnded(attempt)).toMatchObject({ outcome: "completed" });
    expect(attempt.control.map(({ type }) => type)).toEqual(["started", "ended"]);
  });
});
