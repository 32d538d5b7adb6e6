import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { uuidv7 } from "@towpath/contract";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Dev, startDev } from "../harness/index.ts";

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { greet } from "./flows/greet.ts";

export default defineConfig({ project: "dev", pool: "local", registry: ociLayout(".towpath/registry"), deployments: [deployment(greet)] });
`;

/** A flow that appends its words to a file, then waits until a second file is gone. */
const greeting = (words: string) => `
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { flow, log } from "towpath";
import { z } from "zod";

export const greet = flow({ name: "greet", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  log.info("says ${words}");
  appendFileSync(folder + "/ledger", "${words} ");
  while (existsSync(folder + "/hold")) await pause(20);
});
`;

/** A flow that appends a word to a data file of its project. */
const writing = (word: string) => `
import { appendFileSync, readdirSync } from "node:fs";
import { flow } from "towpath";
import { z } from "zod";

export const greet = flow({ name: "greet", input: z.object({ folder: z.string() }) }, async ({ folder }) => {
  const project = readdirSync(folder).find((name) => name.startsWith("project-"));
  appendFileSync(folder + "/" + project + "/rows.csv", "${word}\\n");
});
`;

const FLOW = "flows/greet.ts";
const LIMIT_MS = 90_000;

let dev: Dev;
beforeAll(async () => {
  dev = await startDev({
    files: { [FLOW]: greeting("hello"), "towpath.config.ts": CONFIG },
    args: (folder) => ["--run", "greet", "-p", `folder=${folder}`],
  });
});
afterAll(() => dev?.[Symbol.asyncDispose]());

/** The words of all runs, in order. */
const ledger = () => readFile(join(dev.folder, "ledger"), "utf8").catch(() => "");
const said = (words: string) => expect.poll(ledger, { timeout: LIMIT_MS }).toBe(words);
/** States of the runs, oldest first. */
const states = async () => {
  const client = await dev.client();
  const { items } = await client.listRuns({ query: { deployment: "greet@dev", limit: 20 } });
  return items.map(({ state }) => state).reverse();
};
const holding = () => writeFile(join(dev.folder, "hold"), "");
const letGo = () => rm(join(dev.folder, "hold"));

test("a save is signed with the local key, deployed, and run with its new code", {
  timeout: 180_000,
}, async () => {
  await dev.process.waitFor(/completed greet@dev[\s\S]*Watching/, LIMIT_MS);
  await dev.save(FLOW, greeting("goodbye"));
  await dev.process.waitFor(
    /flows\/greet\.ts changed; deployed greet@dev v2[\s\S]*completed greet@dev/,
    LIMIT_MS,
  );
  expect(await ledger()).toBe("hello goodbye ");
  const client = await dev.client();
  const { latest } = await client.getDeployment({ params: { name: "greet@dev" } });
  const key = JSON.parse(await readFile(join(dev.home, ".towpath/keys/signing.pub.jwk"), "utf8"));
  expect(latest).toMatchObject({ version: 2, keyId: key.kid });
  expect(await states()).toEqual(["completed", "completed"]);
});

test("a save with a syntax error deploys and runs nothing; the next save does", {
  timeout: 180_000,
}, async () => {
  await dev.save(FLOW, "export const greet = ;");
  await dev.process.waitFor(/flows\/greet\.ts changed; the deploy failed/, LIMIT_MS);
  await dev.save(FLOW, greeting("again"));
  await said("hello goodbye again ");
  await dev.process.waitFor(/deployed greet@dev v3[\s\S]*completed greet@dev/, LIMIT_MS);
});

test("a save during a run cancels that run and starts one with the new code", {
  timeout: 180_000,
}, async () => {
  await holding();
  await dev.save(FLOW, greeting("held"));
  await said("hello goodbye again held ");
  await dev.save(FLOW, greeting("new"));
  await said("hello goodbye again held new ");
  const before = ["completed", "completed", "completed", "cancelled"];
  await expect.poll(states, { timeout: LIMIT_MS }).toEqual([...before, "running"]);
  await letGo();
  await expect.poll(states, { timeout: LIMIT_MS }).toEqual([...before, "completed"]);
  expect(dev.process.output()).toContain("its code was saved again");
});

test("Ctrl-C stops everything that dev started", async () => {
  expect(await dev.stop()).toBe(0);
});

test("a save counts while the first run is still under way", { timeout: 240_000 }, async () => {
  await using first = await startDev({
    files: { [FLOW]: greeting("endless"), "towpath.config.ts": CONFIG },
    args: (folder) => ["--run", "greet", "-p", `folder=${folder}`],
  });
  await writeFile(join(first.folder, "hold"), "");
  await first.process.waitFor(/says endless/, LIMIT_MS);
  await first.save(FLOW, greeting("ends").replace(/ {2}while .*/, ""));
  await first.process.waitFor(
    /Watching[\s\S]*deployed greet@dev v2[\s\S]*says ends[\s\S]*completed greet@dev/,
    LIMIT_MS,
  );
  expect(first.process.output()).toContain("its code was saved again");
});

test("a refused first deploy leaves the control plane up; its next step and a save start the run", {
  timeout: 240_000,
}, async () => {
  const config = CONFIG.replace("deployment(greet)", 'deployment(greet, { limits: ["warehouse"] })');
  await using refused = await startDev({
    files: { [FLOW]: greeting("limited"), "towpath.config.ts": config },
    args: (folder) => ["--run", "greet", "-p", `folder=${folder}`],
  });
  await refused.process.waitFor(
    /towpath limit set warehouse SLOTS[\s\S]*The deploy was refused[\s\S]*Watching/,
    LIMIT_MS,
  );
  await (await refused.client()).setLimit({ body: { name: "warehouse", slots: 1 } });
  await refused.save("towpath.config.ts", `${config}\n`);
  await refused.process.waitFor(
    /deployed greet@dev v1[\s\S]*says limited[\s\S]*completed greet@dev/,
    LIMIT_MS,
  );
});

test("a save makes new versions only of deployments that use the saved file", {
  timeout: 240_000,
}, async () => {
  const config = CONFIG.replace("deployment(greet)", "deployment(greet), deployment(count)").replace(
    "\n\n",
    '\nimport { count } from "./flows/count.ts";\n\n',
  );
  const counting = (to: number) =>
    `import { flow } from "towpath";\nexport const count = flow({ name: "count" }, async () => ${to});\n`;
  await using dev = await startDev({
    files: { [FLOW]: greeting("hello"), "flows/count.ts": counting(1), "towpath.config.ts": config },
    args: () => [],
  });
  await dev.process.waitFor(/deployed +greet@dev v1, count@dev v1[\s\S]*Watching/, LIMIT_MS);
  await dev.save("flows/count.ts", counting(2));
  await dev.process.waitFor(/flows\/count\.ts changed; deployed count@dev v2\n/, LIMIT_MS);
  await dev.save("towpath.config.ts", `${config}\n`);
  await dev.process.waitFor(/towpath\.config\.ts changed; nothing to deploy/, LIMIT_MS);
  const limited = config.replace("deployment(count)", "deployment(count, { timeoutMs: 60_000 })");
  await dev.save("towpath.config.ts", limited);
  await dev.process.waitFor(/towpath\.config\.ts changed; deployed count@dev v3\n/, LIMIT_MS);
  const client = await dev.client();
  for (const [deployment, version] of [
    ["greet@dev", 1],
    ["count@dev", 3],
  ] as const) {
    const parameters = deployment === "greet@dev" ? { folder: dev.folder } : {};
    const { id } = await client.createRun({ body: { id: uuidv7(Date.now()), deployment, parameters } });
    const run = () => client.getRun({ params: { runId: id } });
    await expect.poll(async () => (await run()).state, { timeout: LIMIT_MS }).toBe("completed");
    expect((await run()).version).toBe(version);
  }
});

test("a data file that a run writes starts no further run; a save of code still does", {
  timeout: 240_000,
}, async () => {
  const config = CONFIG.replace('pool: "local"', 'pool: "local", files: ["**"]');
  await using dev = await startDev({
    files: { [FLOW]: writing("one"), "rows.csv": "n\n", "towpath.config.ts": config },
    args: (folder) => ["--run", "greet", "-p", `folder=${folder}`],
  });
  await dev.process.waitFor(
    /rows\.csv changed during a run[\s\S]*completed greet@dev[\s\S]*Watching/,
    LIMIT_MS,
  );
  await dev.save(FLOW, writing("two"));
  await dev.process.waitFor(
    /flows\/greet\.ts changed; deployed greet@dev v2[\s\S]*completed greet@dev/,
    LIMIT_MS,
  );
  // The next save is deployed after any change that came before it.
  await dev.save(FLOW, writing("three"));
  await dev.process.waitFor(/deployed greet@dev v3[\s\S]*completed greet@dev/, LIMIT_MS);
  expect(await readFile(join(dev.home, "rows.csv"), "utf8")).toBe("n\none\ntwo\nthree\n");
  expect(dev.process.output()).not.toMatch(/rows\.csv changed;/);
});
