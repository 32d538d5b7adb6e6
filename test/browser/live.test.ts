import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Client, createClient } from "@towpath/client";
import type { BrowserContext, Page } from "playwright-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Door, openDoor } from "../e2e/door.fixture.ts";
import { deployHeld, letGo, startHeld } from "../e2e/fixture.ts";
import { followSignInLink } from "../harness/follow-link.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, inHeader, openBrowsing } from "./browser.fixture.ts";

let stack: Stack;
let door: Door;

const { openContext } = openBrowsing(async (opened) => {
  stack = opened;
  await deployHeld(stack);
  await stack.startWorker();
});
beforeEach(async () => {
  door = await openDoor(stack.url);
});
afterEach(() => door[Symbol.asyncDispose]());

/** The ways in which tabs share a connection. */
type Share = (context: BrowserContext) => Promise<unknown>;
const SHARING: Record<"a shared worker" | "an elected tab", Share> = {
  "a shared worker": async () => {},
  "an elected tab": (context) =>
    context.addInitScript(() => Reflect.deleteProperty(globalThis, "SharedWorker")),
};

/** A signed-in browser. */
async function openBrowser(
  share = SHARING["a shared worker"],
  client: Client = stack.client,
): Promise<BrowserContext> {
  const context = await openContext();
  await share(context);
  const { url } = await client.createSignInLink();
  const page = await context.newPage();
  await followSignInLink(page, `${door.url}${new URL(url).pathname}${new URL(url).search}`);
  await page.close();
  return context;
}

async function openTab(context: BrowserContext, path: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${door.url}${path}`);
  return page;
}

/** Waits for a number of open streams. Nothing reports this number, so it is polled. */
const soon = (count: number) => expect.poll(() => door.streams.size, { timeout: 60_000 }).toBe(count);

test.skipIf(chromiumPath === undefined).each([
  { name: "at once", lateMs: 0 },
  { name: "after the stream has opened", lateMs: 1_500 },
])("The list of runs is read once when the page opens, if it is answered $name", async ({ lateMs }) => {
  const { work, runId } = await startHeld(stack);
  const context = await openBrowser();
  const page = await context.newPage();
  const requests: string[] = [];
  page.on("request", (request) => requests.push(new URL(request.url()).pathname));
  await page.route("**/api/runs?*", async (route) => {
    await delay(lateMs);
    await route.continue();
  });
  await page.goto(`${door.url}/runs`);
  await page.locator(`[data-row][href*="${runId}"], a[href*="${runId}"]`).first().waitFor();
  await soon(1);
  const count = (path: string) => requests.filter((one) => one === path).length;
  await expect.poll(() => count("/api/pools"), { timeout: 60_000 }).toBeGreaterThan(0);
  const before = count("/api/pools");
  // Changes are applied in their order: after this one, the opening of the stream has been applied.
  await stack.client.setLimit({ body: { name: `at-${lateMs}`, slots: 1 } });
  await expect.poll(() => count("/api/pools"), { timeout: 60_000 }).toBeGreaterThan(before);
  expect(count("/api/runs")).toBe(1);
  // A change is noticed from then on.
  await letGo(work);
  await expect.poll(() => count("/api/runs"), { timeout: 60_000 }).toBeGreaterThan(1);
});

describe.skipIf(chromiumPath === undefined).each(Object.keys(SHARING) as (keyof typeof SHARING)[])(
  "tabs that share by %s",
  (sharing) => {
    test("have one connection, which continues after the first tab has closed", async () => {
      const { work, runId } = await startHeld(stack);
      const context = await openBrowser(SHARING[sharing]);
      const first = await openTab(context, `/runs/${runId}`);
      await first.getByText("before the hold").waitFor();
      const second = await openTab(context, `/runs/${runId}`);
      await second.getByText("before the hold").waitFor();
      const list = await openTab(context, "/runs");
      await list.getByRole("link", { name: "held" }).first().waitFor();
      await soon(1);
      await first.close();
      await letGo(work);
      await second.getByText("after the hold").waitFor();
      await inHeader(second, "completed").waitFor();
      expect(await second.getByText("before the hold").count()).toBe(1);
      await soon(1);
      await context.close();
      await soon(0);
    });
  },
);

test.skipIf(chromiumPath === undefined)("A list shows changes without polling", async () => {
  const context = await openBrowser();
  const page = await openTab(context, "/runs");
  await page.getByRole("link").first().waitFor();
  await soon(1);
  const { work, runId } = await startHeld(stack);
  const row = page.locator(`a[href*="${runId}"]`).first();
  await row.waitFor();
  await letGo(work);
  await stack.waitForRun(runId);
  await page
    .locator(
      `tr:has(a[href*="${runId}"]) [data-state=completed], [role=row]:has(a[href*="${runId}"]) [data-state=completed]`,
    )
    .first()
    .waitFor();
  await context.close();
});

test.skipIf(chromiumPath === undefined)(
  "A page without a connection shows for how long, and catches up automatically",
  async () => {
    const { work, runId } = await startHeld(stack);
    const context = await openBrowser();
    const page = await openTab(context, `/runs/${runId}`);
    await page.getByText("before the hold").waitFor();
    door.set("cut");
    await page.getByText(/Stale for \d+ s/).waitFor();
    await letGo(work);
    await stack.waitForRun(runId);
    expect(await page.getByText("after the hold").count()).toBe(0);
    door.set("open");
    await page.getByText("after the hold").waitFor();
    await page.getByText(/Stale for/).waitFor({ state: "detached" });
    expect(await page.getByText("before the hold").count()).toBe(1);
    await context.close();
  },
);

test.skipIf(chromiumPath === undefined)(
  "After an update of the control plane, pages ask their readers to reload",
  async () => {
    const context = await openBrowser();
    const page = await openTab(context, "/runs");
    await soon(1);
    expect(await page.getByText("Towpath has been updated").count()).toBe(0);
    door.rewrite((html) => html.replace(/\/assets\/index-[^"]+\.js/, "/assets/index-another.js"));
    stack.control.kill("SIGTERM");
    await stack.control.exited;
    await stack.restartControl();
    await page.getByText("Towpath has been updated").waitFor({ timeout: 60_000 });
    door.rewrite((html) => html);
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByText("Towpath has been updated").waitFor({ state: "detached" });
    await page.getByRole("link").first().waitFor();
    await context.close();
  },
);

test.skipIf(chromiumPath === undefined)(
  "After the end of a session every tab asks to sign in, and all continue after one has",
  async () => {
    const context = await openBrowser();
    const page = await openTab(context, "/runs");
    const other = await openTab(context, "/pools");
    await other.getByRole("heading", { name: "Pools and workers" }).waitFor();
    await soon(1);
    door.set("signed-out");
    for (const tab of [page, other]) await tab.getByLabel("API key").waitFor();
    door.set("open");
    await page.reload();
    await page.getByRole("link").first().waitFor();
    await other.getByRole("heading", { name: "Pools and workers" }).waitFor();
    await context.close();
  },
);

test.skipIf(chromiumPath === undefined)(
  "An open page asks to sign in when its key is revoked, and then continues where it was",
  async () => {
    const { key, secret } = await stack.client.createKey({
      body: { kind: "api", name: "lent", role: "viewer" },
    });
    const lent = createClient({ url: stack.url, token: secret });
    const context = await openBrowser(SHARING["a shared worker"], lent);
    const page = await openTab(context, "/pools");
    await page.getByRole("heading", { name: "Pools and workers" }).waitFor();
    await soon(1);
    await stack.client.revokeKey({ params: { keyId: key.id } });
    const field = page.getByLabel("API key");
    await field.waitFor();
    await field.fill((await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim());
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Pools and workers" }).waitFor();
    await context.close();
  },
);
