import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Stack, startStack } from "../harness/index.ts";
import { type RecordingProxy, startRecordingProxy } from "../wire/recording-proxy.ts";
import { ledger } from "./fixture.ts";
import { deployFlows, inEachLanguage } from "./languages.fixture.ts";
import { REF_FLOWS } from "./tampered-refs.fixture.ts";

vi.setConfig({ testTimeout: 120_000 });

interface SentRef {
  uri: string;
  codec: string;
  sizeBytes: number;
  sha256: string;
}

let stack: Stack;
let proxy: RecordingProxy;
/** Changes every ref in an answer of a route whose path has this ending. Without an ending, in assignments. */
let tamper: { ending?: string; change: (refs: SentRef[], answer: unknown) => void } | null = null;

beforeAll(async () => {
  stack = await startStack();
  proxy = await startRecordingProxy(stack.url, (path, answer) => {
    if (tamper?.ending === undefined) tamper?.change(refsIn(assignmentsIn(answer)), answer);
    else if (path.endsWith(tamper.ending)) tamper.change(refsIn(answer), answer);
    return answer;
  });
  await stack.client.createPool({ body: { name: "gpu" } });
  const { secret } = await stack.client.createKey({ body: { kind: "worker", name: "gpu", pool: "gpu" } });
  const file = join(stack.folder, "gpu.key");
  await writeFile(file, secret, { mode: 0o600 });
  await stack.startWorker({ settings: { url: proxy.url } });
  await stack.startWorker({ name: "gpu", settings: { url: proxy.url, pool: "gpu", key: { file } } });
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await stack?.[Symbol.asyncDispose]();
});

/** All refs in an answer, as objects that may be changed. */
function refsIn(value: unknown): SentRef[] {
  if (typeof value !== "object" || value === null) return [];
  if ("uri" in value && "sha256" in value) return [value as SentRef];
  return Object.values(value).flatMap(refsIn);
}

interface Assigned {
  readonly trigger: { readonly kind: string };
}

/** The assignments of a claim's answer, or of a report's, which can bring the next ones. */
function assignmentsIn(answer: unknown): readonly Assigned[] {
  const { assignments, next } = answer as { assignments?: Assigned[]; next?: { assignments?: Assigned[] } };
  return assignments ?? next?.assignments ?? [];
}

const newFolder = () => mkdtemp(join(stack.folder, "work-"));
const logOf = async (runId: string) => (await stack.towpath(["logs", runId])).output;
inEachLanguage((language) => {
  let folder: string;
  let failed: string;

  beforeAll(async () => {
    await deployFlows(stack, language, REF_FLOWS);
    folder = await newFolder();
    failed = await stack.run(`chain@${language}`, { folder });
    await stack.waitForRun(failed);
  });

  /** The steps of a rerun from the failure, and its log. */
  async function rerun(): Promise<{ steps: string[]; log: string }> {
    const before = (await ledger(folder)).length;
    await stack.towpath(["rerun", failed, "--from-failure", "--watch"]);
    const [{ id } = { id: "" }] = (await stack.client.listRuns({ query: { limit: 1 } })).items;
    return { steps: (await ledger(folder)).slice(before), log: await logOf(id) };
  }

  const REFUSED = /The worker refused the result of load/g;
  const GOT = "got 0 1 2 3 4 5 6 7 8";

  /** Changes the refs of one page, in the order of the tasks. The last one stays. */
  function hostile(refs: SentRef[]): void {
    const [address, codec, size, hash, unsigned, one, other] = refs;
    if (!address || !codec || !size || !hash || !unsigned || !one || !other)
      throw new Error("There are too few refs.");
    address.uri = refs.at(-1)?.uri ?? "";
    codec.codec = "text";
    size.sizeBytes += 1;
    hash.sha256 = "0".repeat(32) + hash.sha256.slice(32);
    unsigned.sha256 = unsigned.sha256.slice(0, 32) + "0".repeat(32);
    const copy = { ...one };
    Object.assign(one, other);
    Object.assign(other, copy);
  }

  test("honest refs are reused, and nothing is refused", async () => {
    const { steps, log } = await rerun();
    expect(steps).toEqual([GOT]);
    expect(log).not.toMatch(REFUSED);
  });

  test("results run again, with one warning, if their refs have another address, codec, size, hash, no MAC, or were swapped", async () => {
    tamper = { ending: "/checkpoints", change: hostile };
    const { steps, log } = await rerun();
    tamper = null;
    expect(steps).toEqual([...[0, 1, 2, 3, 4, 5, 6].map((n) => `load ${n}`), GOT]);
    expect(log.match(REFUSED)).toHaveLength(1);
  });

  test("results of another run at the same paths, with the same code and input, are refused", async () => {
    const runId = await stack.run(`chain@${language}`, { folder });
    await stack.waitForRun(runId);
    const { items } = await stack.client.listTaskRuns({ params: { runId } });
    tamper = {
      ending: "/checkpoints",
      change: (_, answer) => {
        for (const item of (answer as { items: { path: string; result: unknown }[] }).items)
          item.result = items.find(({ path }) => path === item.path)?.result ?? item.result;
      },
    };
    const { steps, log } = await rerun();
    tamper = null;
    expect(steps).toEqual([...[0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => `load ${n}`), GOT]);
    expect(log.match(REFUSED)).toHaveLength(1);
  });
});

describe("refs between runs", () => {
  const start = async (flow: string, parameters: Record<string, string | number>) => {
    const folder = await newFolder();
    return { folder, runId: await stack.run(`${flow}@typescript`, { folder, ...parameters }) };
  };

  test("arguments of a remote task that are those of another call are refused", async () => {
    const honest = await start("remote", { n: 1 });
    const held: SentRef[] = [];
    tamper = { change: (refs) => held.push(...refs.map((ref) => ({ ...ref }))) };
    expect((await stack.waitForRun(honest.runId)).state).toBe("completed");
    expect(await ledger(honest.folder)).toEqual(["away 1", "got away 1"]);
    const [known] = held;
    if (known === undefined) throw new Error("No arguments were claimed.");
    tamper = { change: (refs) => refs.map((ref) => Object.assign(ref, known)) };
    const { folder, runId } = await start("remote", { n: 2 });
    const run = await stack.waitForRun(runId);
    tamper = null;
    expect(run.state).toBe("failed");
    const [child] = (await stack.client.listRuns({ query: { parent: runId } })).items;
    expect(child).toMatchObject({ state: "failed", cause: "refused" });
    const { error } = await stack.client.getRun({ params: { runId: child?.id ?? "" } });
    expect(error?.message).toContain('The worker refused the arguments of task "away".');
    await expect(readFile(join(folder, "ledger"), "utf8")).rejects.toThrow("ENOENT");
  });

  test("a child run's result that is another's cannot be loaded", async () => {
    const honest = await start("parent", { n: 1 });
    const held: SentRef[] = [];
    tamper = { ending: "/call", change: (refs) => held.push(...refs.map((ref) => ({ ...ref }))) };
    expect((await stack.waitForRun(honest.runId)).state).toBe("completed");
    expect(await ledger(honest.folder)).toEqual(["got child 1"]);
    const [known] = held;
    if (known === undefined) throw new Error("No result of a child came back.");
    tamper = { ending: "/call", change: (refs) => refs.map((ref) => Object.assign(ref, known)) };
    const { runId } = await start("parent", { n: 2 });
    const run = await stack.waitForRun(runId);
    tamper = null;
    expect(run).toMatchObject({ state: "failed", error: { name: "StoreFault" } });
    expect(await logOf(runId)).toContain("The worker refused the result of run ");
  });

  test("refs in the parameters of a flow's run are refused if they are those of another run, from flows in both languages", async () => {
    const held: SentRef[] = [];
    const ofChildren = (change: (refs: SentRef[]) => void) => ({
      change: (_: unknown, answer: unknown) =>
        change(refsIn(assignmentsIn(answer).filter(({ trigger }) => trigger.kind === "run"))),
    });
    const honest = await start("saver", { n: 1 });
    tamper = ofChildren((refs) => held.push(...refs.map((ref) => ({ ...ref }))));
    expect((await stack.waitForRun(honest.runId)).state).toBe("completed");
    expect(await ledger(honest.folder)).toEqual(["loaded value 1"]);
    const [known] = held;
    if (known === undefined) throw new Error("No parameters were claimed.");
    // What a person copies from a run is accepted, and its flow can pass it on.
    const folder = await newFolder();
    const passed = await stack.run("passer@python", { folder, value: { ...known } });
    expect((await stack.waitForRun(passed)).state).toBe("completed");
    expect(await ledger(folder)).toEqual(["loaded value 1"]);
    // Flows in both languages load what the other one has saved.
    for (const runId of [
      await stack.run("loader@python", { folder, value: { ...known } }),
      await stack.run("saver@python", { folder, n: 3, to: "typescript" }),
      await stack.run("saver@python", { folder, n: 4, to: "python" }),
    ])
      expect((await stack.waitForRun(runId)).state).toBe("completed");
    const loaded = (await ledger(folder)).slice(1).sort();
    expect(loaded).toEqual(["loaded value 1", "loaded value 3", "loaded value 4"]);

    tamper = ofChildren((refs) => refs.map((ref) => Object.assign(ref, known)));
    const other = await newFolder();
    for (const runId of [
      await stack.run("saver@typescript", { folder: other, n: 2 }),
      await stack.run("passer@python", { folder: other, value: { ...known } }),
      await stack.run("saver@python", { folder: other, n: 5, to: "python" }),
    ]) {
      expect((await stack.waitForRun(runId)).state).toBe("failed");
      const [child] = (await stack.client.listRuns({ query: { parent: runId } })).items;
      expect(child).toMatchObject({ state: "failed", cause: "refused" });
      const { error } = await stack.client.getRun({ params: { runId: child?.id ?? "" } });
      expect(error?.message).toContain('The worker refused the ref in the parameter "value".');
    }
    tamper = null;
    await expect(readFile(join(other, "ledger"), "utf8")).rejects.toThrow("ENOENT");
  });

  test("a job is not polled with the handle of another, and goes on with its own", async () => {
    const one = await start("probes", { name: "one" });
    const polled = async (name: string, { folder }: { folder: string }) =>
      (await ledger(folder).catch(() => [])).filter((line) => line === `poll ${name}`).length;
    const held: SentRef[] = [];
    tamper = { ending: "/jobs", change: (refs) => held.push(...refs.map((ref) => ({ ...ref }))) };
    await expect.poll(() => polled("one", one), { timeout: 60_000 }).toBeGreaterThan(0);
    const [known] = held;
    if (known === undefined) throw new Error("No handle was assigned.");
    tamper = { ending: "/jobs", change: (refs) => refs.map((ref) => Object.assign(ref, known)) };
    const other = await start("probes", { name: "other" });
    const why = async () => (await stack.towpath(["why", other.runId])).output;
    await expect.poll(why, { timeout: 60_000 }).toContain("The worker refused the job's handle");
    tamper = null;
    expect(await ledger(other.folder)).toEqual(["submit other"]);
    await writeFile(join(one.folder, "done"), "");
    expect((await stack.waitForRun(one.runId)).state).toBe("completed");
    expect((await ledger(one.folder)).at(-1)).toBe("got result of one");
    await stack.towpath(["cancel", other.runId]);
  });

  test("a job's result that is another's is refused, and the run fails", async () => {
    const done = async ({ folder }: { folder: string }) => await writeFile(join(folder, "done"), "");
    const honest = await start("probes", { name: "one" });
    await done(honest);
    const held: SentRef[] = [];
    const jobRefs = (refs: SentRef[]) => refs.filter(({ uri }) => uri.includes("result"));
    const both = (change: (refs: SentRef[]) => void) => ({
      ending: "",
      change: (refs: SentRef[]) => change(jobRefs(refs)),
    });
    tamper = both((refs) => held.push(...refs.map((ref) => ({ ...ref }))));
    expect((await stack.waitForRun(honest.runId)).state).toBe("completed");
    const [known] = held;
    if (known === undefined) throw new Error("No result of a job came back.");
    tamper = both((refs) => refs.map((ref) => Object.assign(ref, known)));
    const other = await start("probes", { name: "other" });
    await done(other);
    const run = await stack.waitForRun(other.runId);
    tamper = null;
    expect(run.state).toBe("failed");
    expect(run.error?.message).toContain("The worker refused the result of job");
    expect(await ledger(other.folder)).not.toContain("got result of one");
  });
});
