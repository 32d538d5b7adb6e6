import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { deployHeld, heldPid, startHeld } from "../e2e/fixture.ts";
import type { Stack, TestProcess } from "../harness/index.ts";
import { chromiumPath, openBrowsing } from "./browser.fixture.ts";

const LEASES = { TOWPATH_LEASE_MS: "3000", TOWPATH_CLAIM_LEASE_MS: "2500", TOWPATH_RENEW_INTERVAL_MS: "500" };

let stack: Stack;
let worker: TestProcess;
const { look } = openBrowsing(
  async (opened) => {
    stack = opened;
    await deployHeld(stack);
    worker = await stack.startWorker({ name: "build-7" });
  },
  { controlEnv: LEASES },
);

test.skipIf(chromiumPath === undefined)(
  "a silent worker has a button that declares its machine gone, and asks first",
  async () => {
    const { runId, work } = await startHeld(stack);
    const pid = await heldPid(work);
    const { page, faults } = await look("/pools");
    const row = page.locator('[data-worker="build-7"]');
    await row.getByText("✓ online").waitFor();
    expect(await row.getByRole("button").count()).toBe(0);
    worker.kill("SIGKILL");
    await worker.exited;
    if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
    await row.getByRole("button", { name: "Machine is gone…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("crashes").waitFor();
    await dialog.getByRole("button", { name: "Close" }).click();
    expect(await stack.client.getRun({ params: { runId } })).toMatchObject({ state: "running" });
    await row.getByRole("button", { name: "Machine is gone…" }).click();
    const shots = process.env.TOWPATH_SHOTS;
    if (shots) await page.screenshot({ path: `${shots}/dialog.png` });
    await dialog.getByRole("button", { name: "The machine is gone" }).click();
    await row.getByText("✗ gone").waitFor();
    await row.getByText(/declared by/).waitFor();
    expect(await stack.waitForRun(runId)).toMatchObject({ state: "crashed", cause: "lost" });
    const phone = await look("/pools", { width: 390, colorScheme: "dark" });
    await phone.page.getByText("✗ gone").waitFor();
    if (shots) await phone.page.screenshot({ path: `${shots}/phone.png` });
    expect(await phone.page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(390);
    expect([...faults, ...phone.faults]).toEqual([]);
  },
  120_000,
);
