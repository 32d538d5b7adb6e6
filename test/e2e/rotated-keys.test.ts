import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack, type TestProcess } from "../harness/index.ts";
import { ledger } from "./fixture.ts";
import { deployFlows, inEachLanguage } from "./languages.fixture.ts";
import { REF_FLOWS } from "./tampered-refs.fixture.ts";

let stack: Stack;
let worker: TestProcess | undefined;

beforeAll(async () => {
  stack = await startStack();
  await stack.client.createPool({ body: { name: "gpu" } });
});
afterAll(() => stack?.[Symbol.asyncDispose]());

/** Restarts the worker with other keys of its store. None: the generated key. */
async function workerWith(...keys: string[]): Promise<void> {
  worker?.kill("SIGTERM");
  await worker?.exited;
  const files = keys.map((name) => ({ file: join(stack.folder, `${name}.key`) }));
  for (const [index, { file }] of files.entries()) await writeFile(file, (keys[index] ?? "").repeat(8));
  const store = { root: join(stack.folder, "store"), ...(files.length > 0 && { keys: files }) };
  worker = await stack.startWorker({ settings: { store } });
}

inEachLanguage((language) => {
  test("a new key loses no result: neither of a rerun nor of the cache, until the old key is gone", async () => {
    const [one, two] = ["first-key", "other-key"].map((name) => `${name}-${language}`);
    if (one === undefined || two === undefined) throw new Error("no keys");
    await deployFlows(stack, language, REF_FLOWS);
    const folder = await mkdtemp(join(stack.folder, "work-"));
    const all = [0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => `load ${n}`);
    const GOT = "got 0 1 2 3 4 5 6 7 8";
    const stepsOf = async (act: () => Promise<unknown>) => {
      const before = (await ledger(folder).catch(() => [])).length;
      await act();
      return (await ledger(folder)).slice(before);
    };
    const start = async () => {
      const id = await stack.run(`chain@${language}`, { folder });
      await stack.waitForRun(id);
      return id;
    };
    const rerun = (id: string) => stepsOf(() => stack.towpath(["rerun", id, "--from-failure", "--watch"]));

    await workerWith();
    let generated = "";
    expect(await stepsOf(async () => (generated = await start()))).toEqual([...all, "shared", GOT]);
    await workerWith(one);
    expect(await rerun(generated)).toEqual([GOT]);
    let earlier = "";
    expect(await stepsOf(async () => (earlier = await start()))).toEqual([...all, GOT]);

    await workerWith(two, one);
    expect(await rerun(generated)).toEqual([GOT]);
    expect(await rerun(earlier)).toEqual([GOT]);
    let latest = "";
    expect(await stepsOf(async () => (latest = await start()))).toEqual([...all, GOT]);

    await workerWith(two);
    expect(await rerun(latest)).toEqual([GOT]);
    expect(await rerun(earlier)).toEqual([...all, GOT]);
  });
});
