import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { followSignInLink } from "../harness/follow-link.ts";
import { CHROMIUM_ARGUMENTS, findChromium, type Stack, startStack } from "../harness/index.ts";
import { emptyPlace, type Place, packInto } from "../package/fixture.ts";

const chromiumPath = findChromium();

let scratch: string;
let stack: Stack;
let place: Place;
let browser: Browser;

beforeAll(async () => {
  if (chromiumPath === undefined) return;
  scratch = await mkdtemp(join(tmpdir(), "towpath-first-"));
  const tarball = await packInto(scratch);
  place = await emptyPlace(process.execPath);
  await place.install(tarball);
  stack = await startStack({ bare: true });
  browser = await chromium.launch({ executablePath: chromiumPath, args: [...CHROMIUM_ARGUMENTS] });
}, 180_000);
afterAll(async () => {
  await browser?.close();
  await stack?.[Symbol.asyncDispose]();
  await place?.[Symbol.asyncDispose]();
  if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
});

/** A browser that has followed the link of `towpath open`, with its console errors and every document that it loads. */
async function arrive() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  await followSignInLink(page, (await stack.client.createSignInLink()).url);
  const faults: string[] = [];
  const documents: string[] = [];
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("request", (request) => request.isNavigationRequest() && documents.push(request.url()));
  return { page, faults, documents };
}

/** Copies the command of a step with its button, through the clipboard. */
async function copied(step: ReturnType<Page["locator"]>): Promise<string> {
  await step.getByRole("button", { name: "Copy" }).click();
  await step.getByRole("button", { name: "Copied" }).waitFor();
  return step.page().evaluate<string>("navigator.clipboard.readText()");
}

test.skipIf(chromiumPath === undefined)(
  "The three commands of an empty workspace, copied as they are, lead to a completed run",
  async () => {
    const { page, faults, documents } = await arrive();
    await page.getByRole("heading", { name: "Welcome to Towpath" }).waitFor();
    const [connect, work, run] = [0, 1, 2].map((index) => page.locator("main ol > li").nth(index));
    if (!connect || !work || !run) throw new Error("There are not three steps.");
    await page.getByRole("button", { name: "Create a key" }).click();
    await page.getByText("shown only once").waitFor();
    const connection = await copied(connect);
    expect(connection).toMatch(new RegExp(`^export TOWPATH_URL=${stack.url} TOWPATH_KEY=twp_api_[\\w-]+$`));

    await work.getByText("Waiting for the first worker").waitFor();
    const worker = place.startShell(`${connection}\n${await copied(work)}`);
    try {
      await work.getByText("A worker is connected").waitFor({ timeout: 60_000 });
      const ran = place.startShell(`${connection}\n${await copied(run)}`);
      await run.locator("[data-state=completed]").waitFor({ timeout: 120_000 });
      expect({ code: await ran.exited, output: ran.output() }).toMatchObject({ code: 0 });
      expect(ran.output()).toContain("Hello, world!");

      await run.getByRole("link", { name: "hello" }).click();
      await page.locator("[data-run-header] [data-state=completed]").waitFor();
      await page.getByRole("log").getByText("Hello, world!").waitFor();
      await page.getByLabel("Task runs over time").getByText("greet").waitFor();
      await page.getByRole("link", { name: "Home" }).click();
      await page.getByText("1 worker online").waitFor();
      expect({ faults, documents }).toEqual({ faults: [], documents: [] });
    } finally {
      worker.kill("SIGINT");
      await worker.exited;
    }
    expect(worker.output()).not.toContain("Error");
  },
  240_000,
);
