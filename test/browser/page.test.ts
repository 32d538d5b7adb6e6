import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { deployHeld, letGo, startHeld } from "../e2e/fixture.ts";
import { followSignInLink } from "../harness/follow-link.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, inHeader, openBrowsing } from "./browser.fixture.ts";

let stack: Stack;
const { look, openContext } = openBrowsing(async (opened) => {
  stack = opened;
  await deployHeld(stack);
  await stack.startWorker();
});

test.skipIf(chromiumPath === undefined)("The page of a run is live from running to completed", async () => {
  const { runId, work } = await startHeld(stack);
  const { page, faults } = await look(`/runs/${runId}`);
  expect(page.url()).toBe(`${stack.url}/runs/${runId}`);
  await page.getByRole("heading", { name: "held", level: 1 }).waitFor();
  await page.getByText("before the hold").waitFor();
  await page.locator("[data-task=hold][data-state=running]").waitFor();
  await letGo(work);
  await inHeader(page, "completed").waitFor();
  await page.getByText("after the hold").waitFor();
  await page.getByRole("cell", { name: "41" }).waitFor();
  await page.reload();
  await page.getByText("after the hold").waitFor();
  expect(faults).toEqual([]);
});

test.skipIf(chromiumPath === undefined)("A run is cancelled from its page", async () => {
  const { runId } = await startHeld(stack);
  const { page } = await look(`/runs/${runId}`);
  await page.getByRole("button", { name: "Cancel…" }).click();
  await page.getByRole("dialog").getByLabel("Reason").fill("a test");
  expect((await stack.client.getRun({ params: { runId } })).state).toBe("running");
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await inHeader(page, "cancelled").waitFor();
  expect((await stack.waitForRun(runId)).state).toBe("cancelled");
});

test.skipIf(chromiumPath === undefined)(
  "A failed run is rerun from its page, after a plan of what is reused",
  async () => {
    const { id } = await stack.waitForRun(await stack.run("thrower"));
    const { page, faults } = await look(`/runs/${id}`);
    await page.getByRole("button", { name: "Rerun from failure" }).click();
    await page.getByText("Version 1: reuse 0 · run at least 1 · because divide did not complete").waitFor();
    await page.getByRole("button", { name: "Start" }).click();
    await page.getByTitle(`as a rerun of ${id}`).waitFor();
    expect(page.url()).not.toContain(id);
    await inHeader(page, "failed").waitFor();
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "The question of a run is answered on its page, with a form for its schema",
  async () => {
    const runId = await stack.run("asks");
    const { page, faults } = await look(`/runs/${runId}`);
    await inHeader(page, "suspended").waitFor();
    await page.getByRole("radio", { name: "Approve" }).check();
    await page.getByRole("button", { name: "Send: Approve" }).click();
    const answers = page.locator("section", { has: page.getByRole("heading", { name: "Answers" }) });
    await answers
      .locator("[data-answer]", { hasText: "Approved" })
      .getByText(/^by admin/)
      .waitFor();
    await page.getByRole("form", { name: "How fast?" }).getByLabel("rate").fill("0.5");
    await page.getByRole("button", { name: "Answer" }).click();
    await inHeader(page, "completed").waitFor();
    await answers.locator("[data-answer]", { hasText: "rate: 0.5" }).waitFor();
    await page.getByText("approved true at 0.5").waitFor();
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "The page continues automatically after the control plane was killed and restarted",
  async () => {
    const { runId, work } = await startHeld(stack);
    const { page } = await look(`/runs/${runId}`);
    await page.getByText("before the hold").waitFor();
    stack.control.kill("SIGKILL");
    await stack.control.exited;
    await letGo(work);
    await stack.restartControl();
    await inHeader(page, "completed").waitFor({ timeout: 60_000 });
    await page.getByText("after the hold").waitFor();
    expect(await page.getByText("before the hold").count()).toBe(1);
  },
);

test.skipIf(chromiumPath === undefined)(
  "Without a session nothing is visible, and a used link does not sign in",
  async () => {
    const { url } = await stack.client.createSignInLink();
    const [first, second] = [await openContext(), await openContext()];
    await followSignInLink(await first.newPage(), url);
    expect(await first.cookies()).toMatchObject([
      { httpOnly: true, sameSite: expect.stringMatching(/Lax|Strict/) },
    ]);
    await (await second.newPage()).goto(url);
    expect(await second.cookies()).toEqual([]);
    expect((await fetch(`${stack.url}/api/runs`)).status).toBe(401);
  },
);

test.skipIf(chromiumPath === undefined)(
  "A reader without a session signs in with a key and returns to the same page",
  async () => {
    const runId = await stack.run("thrower");
    await stack.waitForRun(runId);
    const key = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
    const page = await (await openContext()).newPage();
    await page.goto(`${stack.url}/runs/${runId}`);
    await page.getByLabel("API key").fill("twp_api_nonsense");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("API key").fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await inHeader(page, "failed").waitFor();
    await page.getByText("division by zero").first().waitFor();
  },
);
