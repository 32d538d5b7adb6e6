import { createClient } from "@towpath/client";
import { uuidv7 } from "@towpath/contract";
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

const named = async (name: string) =>
  (await stack.client.listLimits({ query: { name } })).items.map(({ kind, slots, perMs }) => [
    kind,
    slots,
    perMs,
  ]);
const focused = (page: Page) => page.evaluate<string | null>("document.activeElement?.getAttribute('name')");

/** The form of a limit that exists. */
async function opened(name: string, slots = 3) {
  await stack.client.setLimit({ body: { name, slots } });
  const looked = await look("/limits");
  await looked.page.getByRole("button", { name: `Edit limit ${name}` }).click();
  const dialog = looked.page.getByRole("dialog", { name: `Edit limit ${name}` });
  await dialog.waitFor();
  return { ...looked, dialog };
}

describe.skipIf(chromiumPath === undefined)("on the screen of limits", () => {
  test("a limit is created from the empty state with the keyboard, and a double click creates one", async () => {
    const { page, faults } = await look("/limits");
    await page.getByText("No limit is set").waitFor();
    await page.getByRole("button", { name: "New limit" }).focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog", { name: "New limit" });
    await dialog.getByLabel(/^Name/).fill("warehouse");
    await dialog.getByLabel("Slots").fill("3");
    await dialog.getByText("3 of 3 are free.").waitFor();
    await dialog.getByRole("button", { name: "Create the limit" }).dblclick();
    await dialog.waitFor({ state: "detached" });
    await panel(page, "warehouse").getByText("named: 3 slots, set by a person").waitFor();
    expect(await named("warehouse")).toEqual([["named", 3, null]]);
    expect(faults).toEqual([]);
  });

  test("a rate is created in its unit", async () => {
    const { page } = await look("/limits");
    await page.getByRole("button", { name: "New limit" }).click();
    const dialog = page.getByRole("dialog", { name: "New limit" });
    await dialog.getByLabel(/^Name/).fill("github");
    await dialog.getByLabel("Slots").fill("5000");
    await dialog.getByLabel("Counted").selectOption("per time");
    await dialog.getByLabel("Time").fill("1h");
    await dialog.getByRole("button", { name: "Create the limit" }).click();
    await panel(page, "github").getByText("5,000 slots per 1 h").waitFor();
    expect(await named("github")).toEqual([["named", 5000, 3_600_000]]);
  });

  test("the limit of a deployment says how many runs it would hold", async () => {
    const runId = await stack.run("held", { folder: "/nowhere" });
    const { page } = await look("/limits");
    await page.getByRole("button", { name: "New limit" }).click();
    const dialog = page.getByRole("dialog", { name: "New limit" });
    await dialog.getByLabel("Limits").selectOption("Runs of a deployment");
    await dialog.getByLabel("Deployment").selectOption("held");
    await dialog.getByLabel("Slots").fill("2");
    await dialog.getByText("1 slot is taken now. 1 of 2 is free.").waitFor();
    await dialog.getByLabel("If no slot is free").selectOption("The new run is cancelled");
    await dialog.getByRole("button", { name: "Create the limit" }).click();
    await panel(page, "held").getByText("1 of 2 taken").waitFor();
    const { items } = await stack.client.listLimits({ query: { name: "held" } });
    expect(items).toMatchObject([{ kind: "deployment", collision: "cancel-new", taken: 1 }]);
    await stack.client.cancelRun({ params: { runId }, body: {} });
  });

  test("the limit of a tag says which tag, what it counts, and how many runs it would hold", async () => {
    const runId = uuidv7(Date.now());
    const body = { id: runId, deployment: "held", parameters: { folder: "/nowhere" }, tags: ["Team A"] };
    await stack.client.createRun({ body });
    const { page, faults } = await look("/limits");
    await page.getByRole("button", { name: "New limit" }).click();
    const dialog = page.getByRole("dialog", { name: "New limit" });
    await dialog.getByLabel("Limits").selectOption("Runs and tasks with a tag");
    await dialog.getByText("A run with this tag takes a slot.").waitFor();
    await dialog.getByLabel(/^Tag/).fill("Team A");
    await dialog.getByLabel("Slots").fill("1");
    await dialog.getByText("1 slot is taken now. No slot is free.").waitFor();
    await dialog.getByRole("button", { name: "Create the limit" }).click();
    const shown = panel(page, "Team A");
    await shown.getByText("runs and tasks with the tag: 1 slot, set by a person").waitFor();
    await shown.getByText("1 of 1 taken").waitFor();
    await page.getByRole("button", { name: "Edit limit of tag Team A" }).click();
    const edit = page.getByRole("dialog", { name: "Edit limit of tag Team A" });
    await edit.getByLabel("Slots").fill("2");
    await edit.getByRole("button", { name: "Save" }).click();
    await edit.waitFor({ state: "detached" });
    const { items } = await stack.client.listLimits({ query: { kind: "tag", name: "Team A" } });
    expect(items).toMatchObject([{ kind: "tag", slots: 2, taken: 1, holders: [{ runId }] }]);
    expect(faults).toEqual([]);
    await stack.client.cancelRun({ params: { runId }, body: {} });
  });

  test("faults stand beside their fields, those of the control plane too", async () => {
    const { page } = await look("/limits");
    await page.getByRole("button", { name: "New limit" }).click();
    const dialog = page.getByRole("dialog", { name: "New limit" });
    await dialog.getByLabel("Limits").selectOption("Runs in a queue of a pool");
    await dialog.getByLabel(/^Queue/).fill("local/urgnt");
    await dialog.getByLabel("Slots").fill("many");
    await dialog.getByRole("button", { name: "Create the limit" }).click();
    await dialog.getByText("Write a whole number from 0 to 100,000.").waitFor();
    expect(await focused(page)).toBe("slots");
    await dialog.getByLabel("Slots").fill("4");
    await page.keyboard.press("Enter");
    await dialog.getByText(/no queue "urgnt"/).waitFor();
    expect(await focused(page)).toBe("name");
    expect(await named("local/urgnt")).toEqual([]);
  });

  test("a limit is changed, and the form says what that means for what runs", async () => {
    const { page, faults, dialog } = await opened("edited");
    await dialog.getByText("0 slots are taken now. 3 of 3 are free.").waitFor();
    await dialog.getByLabel("Slots").fill("0");
    await dialog.getByText("With 0 slots nothing starts.").waitFor();
    await dialog.getByLabel("Slots").fill("7");
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "detached" });
    await panel(page, "edited").getByText("named: 7 slots").waitFor();
    expect(await named("edited")).toEqual([["named", 7, null]]);
    expect(faults).toEqual([]);
  });

  test("a change by somebody else in the meantime is not undone", async () => {
    const { dialog } = await opened("shared");
    await stack.client.setLimit({ body: { name: "shared", slots: 5 } });
    await dialog.getByLabel("Slots").fill("4");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.getByText(/has been changed by somebody else/).waitFor();
    expect(await named("shared")).toEqual([["named", 5, null]]);
    await dialog.getByRole("button", { name: "Load the current settings" }).click();
    await expect.poll(() => dialog.getByLabel("Slots").inputValue()).toBe("5");
    await dialog.getByLabel("Slots").fill("6");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    expect(await named("shared")).toEqual([["named", 6, null]]);
  });

  test("a limit that somebody else has created is not replaced", async () => {
    await stack.client.setLimit({ body: { name: "taken", slots: 2 } });
    const { page } = await look("/limits");
    await page.getByRole("button", { name: "New limit" }).click();
    const dialog = page.getByRole("dialog", { name: "New limit" });
    await dialog.getByLabel(/^Name/).fill("taken");
    await dialog.getByLabel("Slots").fill("9");
    await dialog.getByRole("button", { name: "Create the limit" }).click();
    await dialog.getByText('Limit "taken" already exists.').first().waitFor();
    expect(await focused(page)).toBe("name");
    expect(await named("taken")).toEqual([["named", 2, null]]);
  });

  test("a limit is removed after a confirmation", async () => {
    const { page, dialog } = await opened("doomed");
    await dialog.getByRole("button", { name: "Remove…" }).click();
    const sure = page.getByRole("dialog", { name: "Remove limit doomed?" });
    await sure.getByText("Runs that wait for this limit alone start at once.").waitFor();
    await sure.getByRole("button", { name: "Back" }).click();
    await dialog.getByRole("button", { name: "Remove…" }).click();
    expect(await named("doomed")).toHaveLength(1);
    await sure.getByRole("button", { name: "Remove the limit" }).click();
    await sure.waitFor({ state: "detached" });
    await expect.poll(() => page.getByRole("button", { name: "Edit limit doomed" }).count()).toBe(0);
    expect(await named("doomed")).toEqual([]);
  });

  test("a limit from the code says so, and a person can take it over", async () => {
    await deployProject(stack, {
      "flows/coded.ts": `import { flow } from "towpath";
        export const coded = flow({ name: "coded" }, async () => {});`,
      "towpath.config.ts": `import { defineConfig, deployment, ociLayout } from "towpath/config";
        import { coded } from "./flows/coded.ts";
        export default defineConfig({ project: "coded", pool: "local", registry: ociLayout(REGISTRY),
          deployments: [deployment(coded, { concurrency: { limit: 2 } })] });`,
    });
    const { page } = await look("/limits");
    await page.getByRole("button", { name: "Edit limit coded" }).click();
    const dialog = page.getByRole("dialog", { name: "Edit limit of deployment coded" });
    await dialog.getByText("This limit comes from the code of coded.").waitFor();
    await dialog.getByLabel("Slots").fill("1");
    await dialog.getByRole("button", { name: "Save" }).click();
    await panel(page, "coded").getByText("1 slot, set by a person").waitFor();
  });

  test("a reader without permission sees no buttons", async () => {
    await stack.client.setLimit({ body: { name: "seen", slots: 1 } });
    const { secret } = await stack.client.createKey({ body: { kind: "api", name: "op", role: "operator" } });
    const { page } = await look("/limits", { client: createClient({ url: stack.url, token: secret }) });
    await panel(page, "seen").waitFor();
    expect(await page.locator("main").getByRole("button").count()).toBe(0);
  });
});
