import { createClient } from "@towpath/client";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { deployHeld, deployProject } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, openBrowsing, panel } from "./browser.fixture.ts";

let stack: Stack;
const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await deployHeld(stack);
});

const NIGHTLY = { kind: "cron", cron: "0 3 * * *", zone: "Europe/Berlin" } as const;
const paramsOf = (schedule: string) => ({ name: "asks", schedule });
const read = (schedule: string) => stack.client.getSchedule({ params: paramsOf(schedule) });

/** A schedule of `asks`, with its form open. */
async function opened(name: string) {
  await stack.client.setSchedule({ params: { name: "asks" }, body: { name, timing: NIGHTLY } });
  const looked = await look("/deployments/asks?tab=schedules");
  await looked.page.getByRole("button", { name: `Edit ${name} of asks` }).click();
  const dialog = looked.page.getByRole("dialog", { name: `Edit schedule ${name} of asks` });
  await dialog.waitFor();
  return { ...looked, dialog };
}

/** The path of the focused field. */
const focused = (page: Page) => page.evaluate("document.activeElement?.getAttribute('name')");

describe.skipIf(chromiumPath === undefined)("on the screen of schedules", () => {
  test("a schedule is created from the empty state, with its next times shown while the reader types", async () => {
    const { page, faults } = await look("/schedules");
    const posts: string[] = [];
    page.on("request", (request) => {
      if (request.method() === "POST" && request.url().endsWith("/api/deployments/plain/schedules"))
        posts.push(request.url());
    });
    await page.getByText("Nothing is scheduled").waitFor();
    await page.getByRole("button", { name: "New schedule" }).click();
    const dialog = page.getByRole("dialog", { name: "New schedule" });
    await dialog.getByLabel("Deployment").selectOption("plain");
    await dialog.getByLabel("Name").fill("nightly");
    await dialog.getByLabel("Time zone").fill("Asia/Kolkata");
    await dialog.getByLabel("Cron expression", { exact: false }).fill("30 2 * * *");
    const times = dialog.getByRole("status", { name: "Next times" });
    await expect.poll(() => times.getByRole("listitem").count()).toBe(5);
    expect(await times.getByRole("listitem").first().textContent()).toMatch(/, 02:30:00 GMT\+5:30/);
    await dialog.getByText("Overlap, missed times and more").click();
    await dialog.getByLabel("If the previous run has not ended").selectOption("skip");
    await dialog.getByRole("button", { name: "Create the schedule" }).dblclick();
    await dialog.waitFor({ state: "detached" });
    await panel(page, "All schedules").getByText("30 2 * * * (Asia/Kolkata)").waitFor();
    expect(posts).toHaveLength(1);
    const { items } = await stack.client.listSchedules({ query: { deployment: "plain" } });
    expect(items).toMatchObject([
      {
        name: "nightly",
        overlap: "skip",
        source: "person",
        timing: { cron: "30 2 * * *", zone: "Asia/Kolkata" },
      },
    ]);
    expect(faults).toEqual([]);
  });

  test("a faulty form names each fault beside its field, and moves to the first one", async () => {
    const { page } = await look("/deployments/asks?tab=schedules");
    await page.getByRole("button", { name: "New schedule" }).click();
    const dialog = page.getByRole("dialog", { name: "New schedule" });
    await dialog.getByLabel("Name").fill("faulty");
    const cron = dialog.getByLabel("Cron expression", { exact: false });
    await cron.fill("61 * * * *");
    await dialog.getByText(/61/).first().waitFor();
    expect(await cron.getAttribute("aria-invalid")).toBe("true");
    await dialog.getByText("Overlap, missed times and more").click();
    await dialog.getByLabel("Delay each run by up to").fill("soon");
    await dialog.getByText("Overlap, missed times and more").click();
    await cron.fill("1 * * * *");
    await expect.poll(() => cron.getAttribute("aria-invalid")).toBe("false");
    await dialog.getByRole("button", { name: "Create the schedule" }).click();
    await dialog.getByText('"soon" is not a duration').waitFor();
    expect(await focused(page)).toBe("jitterMs");
    await dialog.getByLabel("Delay each run by up to").fill("2h");
    expect(await dialog.getByText('"soon" is not a duration').count()).toBe(0);
    await page.keyboard.press("Enter");
    await dialog.locator("[aria-invalid=true]").waitFor();
    expect(await focused(page)).toBe("jitterMs");
    await expect(read("faulty")).rejects.toMatchObject({ code: "schedule-not-found" });
  });

  test("a new schedule does not replace one of the same name", async () => {
    await stack.client.setSchedule({ params: { name: "asks" }, body: { name: "taken", timing: NIGHTLY } });
    const { page } = await look("/deployments/asks?tab=schedules");
    await page.getByRole("button", { name: "New schedule" }).click();
    const dialog = page.getByRole("dialog", { name: "New schedule" });
    await dialog.getByLabel("Name").fill("taken");
    await dialog.getByLabel("Runs by").selectOption("interval");
    await dialog.getByLabel("Every").fill("15m");
    await dialog.getByRole("button", { name: "Create the schedule" }).click();
    await dialog.getByText('Schedule "taken" of "asks" already exists.').first().waitFor();
    expect(await focused(page)).toBe("name");
    expect(await read("taken")).toMatchObject({ timing: NIGHTLY });
  });

  test("a schedule is changed, and keeps what its form does not show", async () => {
    const { page, faults, dialog } = await opened("edited");
    await dialog.getByLabel("Cron expression", { exact: false }).fill("0 4 * * *");
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "detached" });
    await page.getByText("Changed the schedule edited of asks.").waitFor();
    await panel(page, "Schedules").getByText("0 4 * * * (Europe/Berlin)").waitFor();
    expect(await read("edited")).toMatchObject({ timing: { ...NIGHTLY, cron: "0 4 * * *" } });
    expect(faults).toEqual([]);
  });

  test("a change by somebody else in the meantime is not undone", async () => {
    const { dialog } = await opened("shared");
    await stack.client.setSchedule({
      params: { name: "asks" },
      body: { name: "shared", timing: { ...NIGHTLY, cron: "0 5 * * *" }, tags: ["theirs"] },
    });
    await dialog.getByLabel("Cron expression", { exact: false }).fill("0 4 * * *");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.getByText(/has been changed by somebody else/).waitFor();
    expect(await read("shared")).toMatchObject({ tags: ["theirs"] });
    await dialog.getByRole("button", { name: "Load the current settings" }).click();
    const cron = dialog.getByLabel("Cron expression", { exact: false });
    await expect.poll(() => cron.inputValue()).toBe("0 5 * * *");
    await cron.fill("0 6 * * *");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    expect(await read("shared")).toMatchObject({ tags: ["theirs"], timing: { cron: "0 6 * * *" } });
  });

  test("a schedule is removed after a confirmation", async () => {
    const { page, dialog } = await opened("doomed");
    await dialog.getByRole("button", { name: "Remove…" }).click();
    const sure = page.getByRole("dialog", { name: "Remove schedule doomed of asks?" });
    await sure.getByText("The schedule starts no further runs.").waitFor();
    expect((await read("doomed")).name).toBe("doomed");
    await sure.getByRole("button", { name: "Remove the schedule" }).click();
    await sure.waitFor({ state: "detached" });
    await expect(read("doomed")).rejects.toMatchObject({ code: "schedule-not-found" });
    await expect.poll(() => page.getByRole("button", { name: "Edit doomed of asks" }).count()).toBe(0);
  });

  test("a schedule from the code says so, and can only be paused", async () => {
    await deployProject(stack, {
      "flows/coded.ts": `import { flow } from "towpath";
        export const coded = flow({ name: "coded" }, async () => {});`,
      "towpath.config.ts": `import { cron, defineConfig, deployment, ociLayout } from "towpath/config";
        import { coded } from "./flows/coded.ts";
        export default defineConfig({ project: "coded", pool: "local", registry: ociLayout(REGISTRY),
          deployments: [deployment(coded, { schedules: [{ name: "weekly", timing: cron("0 3 * * 1") }] })] });`,
    });
    const { page } = await look("/deployments/coded?tab=schedules");
    const row = panel(page, "Schedules").getByRole("listitem");
    await row.getByText("from the code").waitFor();
    expect(await row.getByRole("button").allTextContents()).toEqual(["Pause"]);
  });

  test("a reader without permission sees no buttons", async () => {
    await stack.client.setSchedule({ params: { name: "asks" }, body: { name: "seen", timing: NIGHTLY } });
    const { secret } = await stack.client.createKey({ body: { kind: "api", name: "op", role: "operator" } });
    const { page } = await look("/schedules", { client: createClient({ url: stack.url, token: secret }) });
    await panel(page, "All schedules").getByText("seen").waitFor();
    await page.getByRole("button", { name: "Pause" }).first().waitFor();
    expect(await page.getByRole("button", { name: /^(New schedule|Edit)/ }).count()).toBe(0);
  });
});
