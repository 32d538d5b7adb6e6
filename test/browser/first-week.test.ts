import { chmod, chown, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { followSignInLink } from "../harness/follow-link.ts";
import { freePort } from "../harness/free-port.ts";
import { CHROMIUM_ARGUMENTS, findChromium, startProcess, type TestProcess } from "../harness/index.ts";
import { emptyPlace, type Place, packInto } from "../package/fixture.ts";
import { inHeader } from "./browser.fixture.ts";

const chromiumPath = findChromium();

/** The user of the second worker, if this process may become another user. */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

const LIMIT = { timeout: 120_000 };

/** A flow on a file of the user. `CHECK` is its first version's way to handle a gap in the data. */
const FLOW = (check: string) => `
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { flow, log, suspend, task } from "towpath";
import { z } from "zod";

interface Row { readonly day: string; readonly level: number }

const read = task({ name: "read" }, async (file: string) => readFileSync(file, "utf8").trim().split("\\n").slice(1));
const parse = task({ name: "parse" }, async (lines: readonly string[]): Promise<Row[]> =>
  lines.map((line) => {
    const [day = "", level] = line.split(",");
    return { day, level: Number(level) };
  }),
);
const highest = task({ name: "highest" }, async (rows: readonly Row[]) => {
  ${check}
  return Math.max(...rows.map(({ level }) => level).filter((level) => !Number.isNaN(level)));
});
const settle = task({ name: "settle" }, async (flag: string) => {
  log.info("settling");
  while (!existsSync(flag)) await sleep(50);
});
const publish = task({ name: "publish" }, async (level: number) => log.info("published " + level + " m"));

const input = z.object({ file: z.string(), ask: z.boolean().default(false), flag: z.string().optional() });
export const tides = flow({ name: "tides", input }, async ({ file, ask, flag }) => {
  const level = await highest(await parse(await read(file)));
  if (flag !== undefined) await settle(flag);
  if (ask && !(await suspend.input({ title: "Publish the tide?", schema: z.boolean() }))) return null;
  await publish(level);
  return level;
});
await tides.runIfMain(import.meta);
`;

const STRICT = `const gap = rows.find(({ level }) => Number.isNaN(level));
  if (gap !== undefined) throw new RangeError("there is no level on " + gap.day);`;

/** The second stage has a pool and a resource setting of its own. */
const CONFIG = (registry: string, more = "") => `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { tides } from "./flows/tides.ts";

export default defineConfig({
  project: "tides",
  pool: "local",
  registry: ociLayout(${JSON.stringify(registry)}, { name: "code" }),
  deployments: [deployment(tides, { ${more} })],
  stages: { prod: { pool: "shed" } },
});
`;

let scratch: string;
let place: Place;
let dev: TestProcess;
let url: string;
let browser: Browser;

/** A file in the folder that all users of the machine may read. */
const shared = (...names: string[]) => join(dirname(place.folder), ...names);
const write = (path: string, text: string) => writeFile(join(place.folder, path), text);

/** Types a command of Towpath, which must exit with this code. @returns What it printed. */
async function type(line: string, exit = 0): Promise<string> {
  const { code, output } = await place.type("towpath", ...line.split(" "));
  expect(code, `${line}\n${output}`).toBe(exit);
  return output;
}

const runIdIn = (output: string) => /run ([0-9a-f-]{36}) of/.exec(output)?.[1] ?? "";

/** Waits until a command prints this, and types it again until then. */
async function typeUntil(line: string, pattern: RegExp): Promise<void> {
  await expect.poll(() => type(line), { timeout: 60_000, interval: 500 }).toMatch(pattern);
}

/** Opens a page, signed in through the link that \`towpath open\` prints. */
async function look(path: string): Promise<{ page: Page; faults: string[] }> {
  const [link = ""] = /http\S+/.exec(await type("open")) ?? [];
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(error.message));
  await followSignInLink(page, link);
  await page.goto(`${url}${path}`);
  return { page, faults };
}

beforeAll(async () => {
  if (chromiumPath === undefined) return;
  scratch = await mkdtemp(join(tmpdir(), "towpath-week-"));
  const tarball = await packInto(scratch);
  place = await emptyPlace(process.execPath);
  await chmod(dirname(place.folder), 0o755);
  await place.install(tarball);
  await type("init");
  await place.install();
  browser = await chromium.launch({ executablePath: chromiumPath, args: [...CHROMIUM_ARGUMENTS] });
}, 240_000);
afterAll(async () => {
  await browser?.close();
  dev?.kill("SIGINT");
  await dev?.exited;
  await place?.[Symbol.asyncDispose]();
  if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
});

describe.skipIf(chromiumPath === undefined)("the first week of a team, with the packed package", () => {
  test("an own flow on own data runs with plain node, and takes an answer", LIMIT, async () => {
    await mkdir(shared("data"));
    await writeFile(shared("data/whole.csv"), "day,level\n2026-01-01,2.4\n2026-01-02,3.1\n");
    await writeFile(shared("data/gap.csv"), "day,level\n2026-01-01,2.4\n2026-01-02,n/a\n2026-01-03,2.8\n");
    await write("flows/tides.ts", FLOW(STRICT));
    await write("towpath.config.ts", CONFIG(shared("registry")));
    const file = `file=${shared("data/whole.csv")}`;
    const plain = await place.type(
      "node",
      "flows/tides.ts",
      file,
      "ask=true",
      "--answer",
      "Publish the tide?=yes",
    );
    expect(plain).toMatchObject({ code: 0, output: expect.stringContaining("published 3.1 m") });
  });

  test(
    "dev deploys it for its own stage, a run completes, and bad data names the day in terminal and page",
    LIMIT,
    async () => {
      dev = place.start("towpath", "dev", "--port", String(await freePort()));
      await dev.waitFor(/Watching/, 90_000);
      url = /control plane +(http\S+)/.exec(dev.output())?.[1] ?? "";
      expect(dev.output()).toMatch(/deployed +tides@dev v1/);
      expect(await type(`run tides -p file=${shared("data/whole.csv")} --watch`)).toContain(
        "published 3.1 m",
      );
      const failed = await type(`run tides -p file=${shared("data/gap.csv")} --watch`, 1);
      expect(failed).toMatch(/RangeError: there is no level on 2026-01-02\n\s+at flows\/tides\.ts:\d+/);
      expect(failed).toContain(`towpath rerun ${runIdIn(failed)} --from-failure`);

      const { page, faults } = await look(`/runs/${runIdIn(failed)}`);
      await page.getByLabel("Root cause").getByText("there is no level on 2026-01-02").first().waitFor();
      // The fix is saved while the page is open.
      await write("flows/tides.ts", FLOW(""));
      await dev.waitFor(/deployed tides@dev v2/);
      await page.getByRole("button", { name: "Rerun from failure" }).click();
      const dialog = page.getByRole("dialog", { name: "Rerun from failure" });
      await dialog
        .getByText(/^Version 2: reuse 2 · run at least 1 · because highest did not complete$/)
        .waitFor();
      await dialog.getByRole("button", { name: "Start" }).click();
      await page.getByTitle(`as a rerun of ${runIdIn(failed)}`).waitFor();
      await inHeader(page, "completed").waitFor();
      await page.locator("[data-task=read]").getByText("reused").waitFor();
      expect(faults).toEqual([]);
    },
  );

  test("an approval takes two clicks, and page and terminal say who gave it", LIMIT, async () => {
    const asking = runIdIn(await type(`run tides -p file=${shared("data/whole.csv")} -p ask=true`));
    const { page, faults } = await look("/");
    const panel = page.locator("section", { hasText: "Waiting for you" });
    await panel.getByRole("radio", { name: "Approve" }).check();
    expect(await type(`runs show ${asking}`)).toContain("suspended");
    await panel.getByRole("button", { name: "Send: Approve" }).click();
    await panel.waitFor({ state: "detached" });
    await page.goto(`${url}/runs/${asking}`);
    await inHeader(page, "completed").waitFor();
    await page
      .locator("[data-answer]", { hasText: "Approved" })
      .getByText(/^by admin/)
      .waitFor();
    expect(await type(`runs show ${asking}`)).toMatch(/answer +Publish the tide\?: Approved, by admin/);

    const other = runIdIn(await type(`run tides -p file=${shared("data/whole.csv")} -p ask=true`));
    await typeUntil("waits", new RegExp(`towpath answer ${other} yes`));
    await type(`answer ${other} no`);
    await typeUntil(
      `runs show ${other}`,
      /Publish the tide\?: Rejected, by admin[\s\S]*completed|completed[\s\S]*Rejected/,
    );
    expect(await type(`logs ${other}`)).not.toContain("published");
    expect(faults).toEqual([]);
  });

  test(
    "a schedule is set with a zone, and a name and Enter in the palette leave it alone",
    LIMIT,
    async () => {
      const set = `schedule set tides@dev nightly --cron 0_3_*_*_* --zone Europe/Berlin -p file=${shared("data/whole.csv")}`;
      const { code, output } = await place.type(
        "towpath",
        ...set.split(" ").map((word) => (word.includes("*") ? word.replaceAll("_", " ") : word)),
      );
      expect({ code, output }).toMatchObject({ code: 0 });
      const { page, faults } = await look("/schedules");
      await page.getByRole("heading", { name: "All schedules" }).waitFor();
      await page.keyboard.press("ControlOrMeta+k");
      await page.getByRole("combobox", { name: "Go to" }).fill("nightly");
      await page.getByRole("option", { name: /^Pause schedule nightly/ }).waitFor();
      await page.keyboard.press("Enter");
      await page.waitForURL(/\/deployments\/tides@dev/);
      expect(await type("schedule ls --json")).toContain('"paused": false');
      expect(faults).toEqual([]);
    },
  );

  test("a second stage says what it lacks, and runs on a worker of another user", LIMIT, async () => {
    expect(await type("deploy --stage prod", 66)).toMatch(
      /pool "shed" of "tides@prod" does not exist[\s\S]*towpath pool create shed/,
    );
    expect(await type("deploy --stage prd", 78)).toMatch(/prod/);
    await type("pool create shed");
    expect(await type("deploy --stage prod")).toContain(
      'The pool "shed" of "tides@prod" has no worker online',
    );
    await startSecondWorker();
    const ran = await type(`run tides@prod -p file=${shared("data/whole.csv")} --watch`);
    expect(ran).toMatch(new RegExp(`result file://${shared("shed")}`));
    const unclear = await type(`run tides -p file=${shared("data/whole.csv")}`, 64);
    expect(unclear).toContain("tides@dev, tides@prod");
    // A save changes the stage of dev alone.
    await write("flows/tides.ts", FLOW('log.info("rows " + rows.length);'));
    await dev.waitFor(/deployed tides@dev v3/);
    expect(await type("deployments ls")).toMatch(/tides@dev +v3[\s\S]*tides@prod +v1/);

    const { page, faults } = await look("/deployments/tides@prod");
    const stages = page.getByRole("navigation", { name: "Stages of tides" });
    await expect.poll(() => stages.getByRole("link").allTextContents()).toEqual(["dev", "prod"]);
    expect(faults).toEqual([]);
  });

  test(
    "a worker that is killed leaves its run at work, and goes on with it when it comes back",
    LIMIT,
    async () => {
      const flag = shared("data/flag");
      const held = runIdIn(await type(`run tides@prod -p file=${shared("data/whole.csv")} -p flag=${flag}`));
      await typeUntil(`logs ${held}`, /settling/);
      second.kill("SIGKILL");
      await second.exited;
      await startSecondWorker();
      await writeFile(flag, "");
      await typeUntil(`runs show ${held}`, /✓ completed/);
      const shown = await type(`runs show ${held}`);
      for (const task of ["read", "parse", "highest", "settle", "publish"])
        expect(shown.match(new RegExp(`✓ ${task} `, "g")), shown).toHaveLength(1);
      await writeFile(flag, "");
    },
  );

  test(
    "a secret that nobody has is named at deploy, and the run fails with one sentence at the first try",
    LIMIT,
    async () => {
      await write("towpath.config.ts", CONFIG(shared("registry"), 'secrets: ["harbour-token"]'));
      await dev.waitFor(/deployed tides@dev v4/);
      expect(await type("deploy --stage prod")).toMatch(/harbour-token/);
      const failed = await type(`run tides@prod -p file=${shared("data/whole.csv")} --watch`, 1);
      expect(failed).toMatch(/harbour-token/);
      expect(await type(`runs show ${runIdIn(failed)}`)).not.toContain("#2");
    },
  );

  test("a bad version is rolled back from the terminal", LIMIT, async () => {
    await type("deployments rollback tides@prod 1 --yes");
    expect(await type(`run tides@prod -p file=${shared("data/whole.csv")} --watch`)).toContain(
      "published 3.1 m",
    );
    expect(await type("deployments ls --stage prod")).toMatch(/tides@prod +v3/);
  });

  test("dev ends with Ctrl-C, and what ran is still there after the next start", LIMIT, async () => {
    dev.kill("SIGINT");
    expect(await dev.exited).toBe(0);
    dev = place.start("towpath", "dev", "--port", String(await freePort()));
    await dev.waitFor(/Watching/, 90_000);
    expect(await type("runs ls --stage prod --limit 2")).toMatch(/tides@prod +v3[\s\S]*completed/);
  });
});

let second: TestProcess;

/** Starts the worker of the pool \`shed\`: as another user where this process may become one. */
async function startSecondWorker(): Promise<void> {
  const folder = shared("shed");
  const owner = isRoot ? NOBODY : (process.getuid?.() ?? 0);
  const isNew = await mkdir(folder).then(
    () => true,
    () => false,
  );
  if (isNew) {
    const [secret = ""] = /^twp_\S+$/m.exec(await type("key create shed --worker --pool shed")) ?? [];
    await writeFile(join(folder, "worker.key"), secret, { mode: 0o600 });
    await cp(join(place.folder, ".towpath/keys/signing.pub.jwk"), join(folder, "signing.pub.jwk"));
    const settings = {
      url,
      key: { file: "worker.key" },
      pool: "shed",
      name: "shed-1",
      stateDir: "state",
      trustedKeys: [{ file: "signing.pub.jwk" }],
      registries: { code: { kind: "oci-layout", path: "../registry" } },
      store: { root: "store" },
      // Its flows have a /tmp of their own, and the data is below that of the machine.
      flowFolders: { read: [shared("data")] },
    };
    await writeFile(join(folder, "worker.json"), JSON.stringify(settings));
    for (const name of ["", "worker.key", "signing.pub.jwk", "worker.json"])
      await chown(join(folder, name), owner, owner);
  }
  const bin = join(place.folder, "node_modules/.bin/towpath");
  const become = isRoot
    ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "env", `HOME=${folder}`]
    : ["env", `HOME=${folder}`];
  const [command = "", ...args] = [...become, process.execPath, bin];
  const started = (...words: string[]) =>
    startProcess({
      command,
      args: [...args, ...words, "--config", join(folder, "worker.json")],
      env: { PATH: process.env.PATH },
      cwd: folder,
    });
  await using doctor = started("doctor");
  expect(await doctor.exited, doctor.output()).toBe(0);
  second = started("worker", "start");
  await second.waitFor(/polling for work/);
}
