import { expect, test } from "vitest";
import { namespacesObstacle } from "../../worker/src/testing/walls.fixture.ts";
import type { Stack, TestProcess } from "../harness/index.ts";
import { chromiumPath, openBrowsing, panel } from "./browser.fixture.ts";

const obstacle = process.getuid?.() === 0 ? namespacesObstacle() : "only root can give each attempt a user";
if (obstacle !== null) console.warn(`SKIPPED: the walls of workers are not shown: ${obstacle}.`);

/** A worker of each kind, and what its row says. */
const WORKERS = [
  { name: "open", settings: { runAs: "worker" }, says: "one trust domain" },
  { name: "by-users", settings: { namespaces: false }, says: "wall: users" },
  {
    name: "by-namespaces",
    settings: { runAs: "worker", namespaces: "required" },
    says: "wall: namespaces",
  },
  { name: "by-both", settings: { namespaces: "required" }, says: "wall: users, namespaces" },
] as const;

let stack: Stack;
let open: TestProcess | undefined;
const { look } = openBrowsing(
  async (opened) => {
    stack = opened;
    if (obstacle !== null) return;
    [open] = await Promise.all(WORKERS.map(({ name, settings }) => stack.startWorker({ name, settings })));
  },
  { walls: true },
);

test.skipIf(chromiumPath === undefined || obstacle !== null)(
  "the page Pools says which wall each worker has, and calls the pool one trust domain until no worker is without one",
  async () => {
    const { page, faults } = await look("/pools");
    for (const { name, says } of WORKERS) {
      const row = page.locator(`[data-worker="${name}"]`);
      await row.getByText("✓ online").waitFor();
      await row.getByText(says, { exact: true }).waitFor();
    }
    const pool = panel(page, "local");
    await pool.getByText(/; one trust domain$/).waitFor();
    const phone = await look("/pools", { width: 390, colorScheme: "dark" });
    await phone.page.getByText("wall: users, namespaces", { exact: true }).waitFor();
    const shots = process.env.TOWPATH_SHOTS;
    if (shots) {
      await page.screenshot({ path: `${shots}/walls.png` });
      await phone.page.screenshot({ path: `${shots}/walls-phone.png` });
    }
    expect(await phone.page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(390);

    open?.kill("SIGTERM");
    await open?.exited;
    await page.locator('[data-worker="open"]').getByText("■ stopped").waitFor();
    await expect.poll(() => page.getByText("one trust domain").count()).toBe(0);
    if (shots) await page.screenshot({ path: `${shots}/walls-after.png` });
    expect([...faults, ...phone.faults]).toEqual([]);
  },
  120_000,
);
