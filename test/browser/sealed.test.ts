import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import { newWorkspaceKey, openKeyring, uuidv7 } from "@towpath/contract";
import { expect, test } from "vitest";
import { LEAKING } from "../e2e/sealed.fixture.ts";
import { freePort } from "../harness/free-port.ts";
import { type Stack, startProcess } from "../harness/index.ts";
import { CLI, cleanEnv } from "../harness/stack.ts";
import { chromiumPath, inHeader, openBrowsing, panel } from "./browser.fixture.ts";

const KEY = newWorkspaceKey();
const withKey = { env: { TOWPATH_WORKSPACE_KEY: KEY } };
let stack: Stack;
/** A client with the key. The stack's own has none. */
let client: Client;
let failed: string;

async function createRun(marker: string): Promise<string> {
  const id = uuidv7(Date.now());
  await client.createRun({ body: { id, deployment: "leaky@typescript", parameters: { marker } } });
  return id;
}

const { look, openContext } = openBrowsing(async (opened) => {
  stack = opened;
  const keyFile = join(stack.folder, "workspace.key");
  await writeFile(keyFile, `${KEY}\n`);
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  client = createClient({ url: stack.url, token, sealing: { keys: [KEY] } });
  await stack.startWorker({ settings: { workspaceKeys: [{ file: keyFile }] } });
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const files = Object.entries(LEAKING.typescript).map(([path, text]) => [
    path,
    text.replace("REGISTRY", registry),
  ]);
  const home = await stack.project(Object.fromEntries(files));
  const deployed = await stack.towpath(["deploy", "--project", home, "--stage", "typescript"], withKey);
  expect(deployed.code, deployed.output).toBe(0);
});

test.skipIf(chromiumPath === undefined)("An administrator seals the workspace on the page Keys", async () => {
  const { page, faults } = await look("/keys");
  const sealing = panel(page, "Sealing");
  await sealing.getByText("this workspace stores values as they are").waitFor();
  await sealing.getByRole("button", { name: "Seal this workspace" }).click();
  expect((await stack.client.getMe()).workspace.sealed).toBe(false);
  await sealing.getByRole("button", { name: "Seal this workspace: confirm" }).click();
  await sealing.getByText("this workspace is sealed").waitFor();
  expect((await stack.client.getMe()).workspace.sealed).toBe(true);
  await page.getByText("Load the workspace key").waitFor();
  expect(faults).toEqual([]);
});

test.skipIf(chromiumPath === undefined)(
  "A tab without the key shows where to load it; with the key it shows what a run got and reported",
  async () => {
    failed = await createRun("canary-in-the-browser");
    await stack.waitForRun(failed);
    const { page, faults } = await look(`/runs/${failed}`);
    await page.getByText("This workspace is sealed.").waitFor();
    await page
      .getByText(/sealed: load the workspace key on the page Keys/)
      .first()
      .waitFor();
    expect(await page.content()).not.toContain("canary-in-the-browser");
    await page.getByRole("link", { name: "needs the key" }).waitFor();

    await page.getByRole("link", { name: "Load the workspace key" }).click();
    const sealing = panel(page, "Sealing");
    await sealing.getByLabel("Workspace key").fill("twp_seal_short");
    await sealing.getByRole("button", { name: "Load the key" }).click();
    await sealing.getByText(/A workspace key is "twp_seal_"/).waitFor();
    await sealing.getByLabel("Workspace key").fill(KEY);
    await sealing.getByRole("button", { name: "Load the key" }).click();
    const [kid = ""] = (await openKeyring([KEY])).kids;
    await sealing.getByText(kid).waitFor();

    await page.goto(`${stack.url}/runs/${failed}`);
    await page.getByText("thrown canary-in-the-browser").first().waitFor();
    await page.getByText("logged canary-in-the-browser").first().waitFor();
    await page.getByText("named canary-in-the-browser").first().waitFor();
    expect(await page.getByText("[sealed:").count()).toBe(0);

    const saving = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download the whole log" }).click();
    const file = await readFile(await (await saving).path(), "utf8");
    expect(file).toContain(" info logged canary-in-the-browser\n");
    expect(file).not.toContain("sealed:");
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.getByLabel("Search the log").fill("searched-for");
    await page.getByText("sealed lines are not searched").waitFor();
    // A search begins a moment after the last key, and has its answer before this mark goes.
    await page.locator("[role=status][aria-label=Matches]:not([data-searching])").waitFor();
    expect(asked.filter((url) => url.includes("searched-for"))).toEqual([]);
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "The form seals parameters in the browser, the run's page opens what arrives, and the key is never sent",
  async () => {
    const { page, faults } = await look("/keys");
    const sent: string[] = [];
    page.on("request", (request) => sent.push(`${request.url()} ${request.postData() ?? ""}`));
    await panel(page, "Sealing").getByLabel("Workspace key").fill(KEY);
    await panel(page, "Sealing").getByRole("button", { name: "Load the key" }).click();
    await page.getByRole("button", { name: "Forget the key" }).waitFor();
    await page.goto(`${stack.url}/deployments/leaky@typescript`);
    await page.getByLabel(/^marker/).fill("canary-typed-here");
    await page.getByRole("button", { name: "Start a run" }).click();
    await inHeader(page, "failed").waitFor();
    await page.getByText("thrown canary-typed-here").first().waitFor();
    expect(sent.join("\n")).not.toContain("canary-typed-here");
    expect(sent.join("\n")).not.toContain(KEY);

    await page.goto(`${stack.url}/keys`);
    await page.getByRole("button", { name: "Forget the key" }).click();
    await panel(page, "Sealing").getByLabel("Workspace key").waitFor();
    await page.goto(`${stack.url}/runs/${failed}`);
    await page
      .getByText(/sealed: load the workspace key/)
      .first()
      .waitFor();
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "towpath view shows the same from this machine, with the key of the environment and no sign-in",
  async () => {
    const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
    const port = await freePort();
    const origin = `http://127.0.0.1:${port}/`;
    await using view = startProcess({
      command: process.execPath,
      args: [CLI, "view", "--port", String(port)],
      cwd: stack.folder,
      env: cleanEnv({ TOWPATH_URL: stack.url, TOWPATH_KEY: token, TOWPATH_WORKSPACE_KEY: KEY }),
    });
    const [link = ""] = await view.waitFor(/http:\S+\/view\?secret=[\w-]+/);
    const page = await (await openContext()).newPage();
    const asked: string[] = [];
    page.on("request", (request) => asked.push(request.url()));
    await page.goto(link);
    const run = await createRun("canary-in-a-view");
    await page.goto(`${origin}runs/${run}`);
    await inHeader(page, "failed").waitFor();
    await page.getByText("thrown canary-in-a-view").first().waitFor();
    await page.getByText("logged canary-in-a-view").first().waitFor();
    expect(asked.filter((url) => !url.startsWith(origin))).toEqual([]);
    view.kill("SIGINT");
    expect(await view.exited).toBe(0);
  },
);
