import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import { newWorkspaceKey, uuidv7 } from "@towpath/contract";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { freePort } from "../harness/free-port.ts";
import { type Stack, startProcess, type TestProcess } from "../harness/index.ts";
import { CLI, cleanEnv } from "../harness/stack.ts";
import { chromiumPath, inHeader, openBrowsing, panel } from "./browser.fixture.ts";

const FLOW = `
import { artifact, flow, log } from "towpath";
import { z } from "zod";

export const talks = flow({ name: "talks", input: z.object({ marker: z.string() }) }, async ({ marker }) => {
  log.info("logged " + marker);
  log.warn("warned " + marker);
  const rows = Array.from({ length: 1_200 }, (_, row) => [row, marker + " in row " + row]);
  await artifact.table({ key: "all", title: "All rows", columns: ["row", "value"], rows });
});
`;
const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { talks } from "./talks.ts";
export default defineConfig({
  project: "stored",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(talks)],
});
`;

const KEY = newWorkspaceKey();
const withKey = { env: { TOWPATH_WORKSPACE_KEY: KEY } };
/** The pictures of each state are written here, if it is set. */
const PICTURES = process.env.TOWPATH_TEST_PICTURES;
let stack: Stack;
let client: Client;
let worker: TestProcess;

async function startWorker(): Promise<TestProcess> {
  const workspaceKeys = [{ file: join(stack.folder, "workspace.key") }];
  const started = await stack.startWorker({ settings: { workspaceKeys, logs: "stored" } });
  await started.waitFor(/ready: polling for work/);
  return started;
}

const { look, openContext } = openBrowsing(async (opened) => {
  stack = opened;
  await writeFile(join(stack.folder, "workspace.key"), `${KEY}\n`);
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  client = createClient({ url: stack.url, token, sealing: { keys: [KEY] } });
  worker = await startWorker();
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const home = await stack.project({
    "talks.ts": FLOW,
    "towpath.config.ts": CONFIG.replace("REGISTRY", registry),
  });
  const deployed = await stack.towpath(["deploy", "--project", home], withKey);
  expect(deployed.code, deployed.output).toBe(0);
});

async function ended(marker: string): Promise<string> {
  const id = uuidv7(Date.now());
  await client.createRun({ body: { id, deployment: "talks", parameters: { marker } } });
  expect(await stack.waitForRun(id)).toMatchObject({ state: "completed" });
  return id;
}

async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES !== undefined) await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
}

async function loadKey(page: Page): Promise<void> {
  const sealing = panel(page, "Sealing");
  await sealing.getByLabel("Workspace key").fill(KEY);
  await sealing.getByRole("button", { name: "Load the key" }).click();
  await page.getByRole("button", { name: "Forget the key" }).waitFor();
}

test.skipIf(chromiumPath === undefined)(
  "Texts and large artifacts in the store are shown with the key, and without it the page says what is missing",
  async () => {
    const run = await ended("canary-stored");
    const { page, faults } = await look(`/runs/${run}`);
    await page.getByText("not shown: no workspace key").first().waitFor();
    // Above the log, and in place of the artifact, whose title is sealed.
    await page.getByText("There is no workspace key here").nth(1).waitFor();
    expect(await page.locator("[data-line]").count()).toBe(2);
    expect(await page.locator("main").textContent()).not.toContain("warned canary-stored");
    await page.getByRole("link", { name: "needs the key" }).waitFor();
    await picture(page, "no-key");

    await page.getByRole("link", { name: "Load the key" }).first().click();
    await loadKey(page);
    await page.goto(`${stack.url}/runs/${run}`);
    const log = page.getByRole("log");
    await log.getByText("logged canary-stored").waitFor();
    await log.getByText("warned canary-stored").waitFor();
    const table = panel(page, "All rows");
    await table.getByText("canary-stored in row 499").waitFor();
    expect(await table.getByText("canary-stored in row 500").count()).toBe(0);
    await table.getByRole("button", { name: "Show all 1,200 rows" }).click();
    await table.getByText("canary-stored in row 1199").waitFor();
    await picture(page, "opened");

    const saving = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download the whole log" }).click();
    expect(await readFile(await (await saving).path(), "utf8")).toContain(" info logged canary-stored\n");
    await page.getByLabel("Search the log").fill("logged");
    await page.getByText("stored lines are not searched").waitFor();
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "Without a worker the page says which one to start, and shows the texts once it is back",
  async () => {
    const run = await ended("canary-later");
    const { page } = await look("/keys");
    await loadKey(page);
    worker.kill("SIGTERM");
    await worker.exited;
    await page.goto(`${stack.url}/runs/${run}`);
    await page.getByText("not shown: no worker with its store is online").first().waitFor();
    await page
      .getByText(/was "worker" of the pool "local", which is offline/)
      .first()
      .waitFor();
    await picture(page, "no-worker");
    worker = await startWorker();
    await page.getByRole("button", { name: "Try again" }).first().click();
    await page.getByRole("log").getByText("logged canary-later").waitFor();
    await panel(page, "All rows").getByText("canary-later in row 3", { exact: true }).waitFor();
  },
);

test.skipIf(chromiumPath === undefined)("A deleted file is named as gone", async () => {
  const run = await ended("canary-gone");
  await rm(join(stack.folder, "store/runs", run, "bodies"), { recursive: true });
  const { page } = await look("/keys");
  await loadKey(page);
  await page.goto(`${stack.url}/runs/${run}`);
  await page.getByText("not shown: its file is no longer in the store").first().waitFor();
  await panel(page, "All rows")
    .getByText(/The store no longer has the file/)
    .waitFor();
  await picture(page, "gone");
});

test.skipIf(chromiumPath === undefined)("towpath view shows them from this machine", async () => {
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  const port = await freePort();
  await using view = startProcess({
    command: process.execPath,
    args: [CLI, "view", "--port", String(port)],
    cwd: stack.folder,
    env: cleanEnv({ TOWPATH_URL: stack.url, TOWPATH_KEY: token, TOWPATH_WORKSPACE_KEY: KEY }),
  });
  const [link = ""] = await view.waitFor(/http:\S+\/view\?secret=[\w-]+/);
  const page = await (await openContext()).newPage();
  await page.goto(link);
  const run = await ended("canary-viewed");
  await page.goto(`http://127.0.0.1:${port}/runs/${run}`);
  await inHeader(page, "completed").waitFor();
  await page.getByRole("log").getByText("logged canary-viewed").waitFor();
  await panel(page, "All rows").getByText("canary-viewed in row 3", { exact: true }).waitFor();
});
