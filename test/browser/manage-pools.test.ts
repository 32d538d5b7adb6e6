import { createClient } from "@towpath/client";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { deployHeld } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, openBrowsing, panel } from "./browser.fixture.ts";

let stack: Stack;
const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await deployHeld(stack);
});

const params = { name: "local" } as const;
const queues = async () =>
  (await stack.client.listQueues({ params })).items.map(({ name, priority }) => [name, priority]);
const slotsOf = async (name: string) =>
  (await stack.client.listLimits({ query: { name } })).items.map(({ kind, slots }) => [kind, slots]);
const focused = (page: Page) => page.evaluate<string | null>("document.activeElement?.getAttribute('name')");

/** The form of a queue that exists. */
async function opened(queue: string) {
  await stack.client.setQueue({ params, body: { queue, priority: 5 } });
  const looked = await look("/pools");
  await looked.page.getByRole("button", { name: `Edit queue local/${queue}` }).click();
  const dialog = looked.page.getByRole("dialog", { name: `Edit queue ${queue} of local` });
  await dialog.waitFor();
  return { ...looked, dialog };
}

describe.skipIf(chromiumPath === undefined)("on the screen of pools", () => {
  test("a pool is created, and says how to connect a worker", async () => {
    const { page, faults } = await look("/pools");
    await page.getByRole("button", { name: "New pool" }).click();
    const dialog = page.getByRole("dialog", { name: "New pool" });
    await dialog.getByLabel(/^Name/).fill("gpu");
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "detached" });
    await panel(page, "gpu").getByText("towpath worker start --pool gpu").waitFor();
    expect(faults).toEqual([]);
  });

  test("a faulty name of a pool is named beside its field", async () => {
    const { page } = await look("/pools");
    await page.getByRole("button", { name: "New pool" }).click();
    const dialog = page.getByRole("dialog", { name: "New pool" });
    await dialog.getByLabel(/^Name/).fill("My Pool");
    await dialog.getByRole("button", { name: "Create the pool" }).click();
    await dialog.locator("[aria-invalid=true]").waitFor();
    expect(await focused(page)).toBe("name");
    expect((await stack.client.listPools({})).items.map(({ name }) => name)).not.toContain("My Pool");
  });

  test("the limit of a pool is created, changed and removed", async () => {
    const { page } = await look("/pools");
    const local = panel(page, "local");
    await local.getByRole("button", { name: "New limit of pool local" }).click();
    const dialog = page.getByRole("dialog", { name: "New limit of pool local" });
    await dialog.getByLabel("Slots").fill("20");
    await dialog.getByRole("button", { name: "Create the limit" }).click();
    await local.getByText("0 of 20 taken").waitFor();
    expect(await local.getByRole("button", { name: "New limit of pool local" }).count()).toBe(0);
    await local.getByRole("button", { name: "Edit limit local" }).click();
    const edit = page.getByRole("dialog", { name: "Edit limit of pool local" });
    await edit.getByLabel("Slots").fill("10");
    await edit.getByRole("button", { name: "Save" }).click();
    await local.getByText("0 of 10 taken").waitFor();
    expect(await slotsOf("local")).toEqual([["pool", 10]]);
    await local.getByRole("button", { name: "Edit limit local" }).click();
    await edit.getByRole("button", { name: "Remove…" }).click();
    await page.getByRole("button", { name: "Remove the limit" }).click();
    await local.getByRole("button", { name: "New limit of pool local" }).waitFor();
    expect(await slotsOf("local")).toEqual([]);
  });

  test("a queue is created with its limit, and a double click creates one", async () => {
    const { page, faults } = await look("/pools");
    const local = panel(page, "local");
    await local.getByRole("button", { name: "New queue of local" }).click();
    const dialog = page.getByRole("dialog", { name: "New queue of local" });
    await dialog.getByLabel(/^Name/).fill("urgent");
    await dialog.getByLabel(/^Priority/).fill("10");
    await dialog.getByLabel(/^Runs at once/).fill("4");
    await dialog.getByRole("button", { name: "Create the queue" }).dblclick();
    await dialog.waitFor({ state: "detached" });
    const row = local.getByRole("row", { name: /urgent/ });
    await row.getByText("0 of 4").waitFor();
    expect(await queues()).toContainEqual(["urgent", 10]);
    expect(await slotsOf("local/urgent")).toEqual([["queue", 4]]);
    expect(faults).toEqual([]);
  });

  test("faults stand beside their fields, and an existing queue is not replaced", async () => {
    await stack.client.setQueue({ params, body: { queue: "taken", priority: 3 } });
    const { page } = await look("/pools");
    await panel(page, "local").getByRole("button", { name: "New queue of local" }).click();
    const dialog = page.getByRole("dialog", { name: "New queue of local" });
    await dialog.getByLabel(/^Name/).fill("taken");
    await dialog.getByLabel(/^Priority/).fill("101");
    await dialog.getByLabel(/^Runs at once/).fill("few");
    await dialog.getByRole("button", { name: "Create the queue" }).click();
    await dialog.getByText("Write a whole number from -100 to 100.").waitFor();
    await dialog.getByText("Write a whole number, or leave the field empty.").waitFor();
    expect(await focused(page)).toBe("priority");
    await dialog.getByLabel(/^Priority/).fill("1");
    await dialog.getByLabel(/^Runs at once/).fill("");
    await page.keyboard.press("Enter");
    await dialog.getByText('Queue "taken" of pool "local" already exists.').first().waitFor();
    expect(await queues()).toContainEqual(["taken", 3]);
  });

  test("a queue's priority and limit are changed, and the limit is removed with an empty field", async () => {
    await stack.client.setQueue({ params, body: { queue: "edited" } });
    await stack.client.setLimit({ body: { kind: "queue", name: "local/edited", slots: 2 } });
    const { page, dialog } = await opened("edited");
    await dialog.getByLabel(/^Priority/).fill("-7");
    await dialog.getByLabel(/^Runs at once/).fill("");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    await page
      .getByRole("row", { name: /edited/ })
      .getByText("-7")
      .waitFor();
    expect(await queues()).toContainEqual(["edited", -7]);
    expect(await slotsOf("local/edited")).toEqual([]);
  });

  test("a change by somebody else in the meantime is not undone", async () => {
    const { dialog } = await opened("shared");
    await stack.client.setQueue({ params, body: { queue: "shared", priority: 50 } });
    await dialog.getByLabel(/^Priority/).fill("6");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.getByText(/has been changed by somebody else/).waitFor();
    expect(await queues()).toContainEqual(["shared", 50]);
    await dialog.getByRole("button", { name: "Load the current settings" }).click();
    await expect.poll(() => dialog.getByLabel(/^Priority/).inputValue()).toBe("50");
    await dialog.getByLabel(/^Priority/).fill("51");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    expect(await queues()).toContainEqual(["shared", 51]);
  });

  test("a queue whose limit could not be saved can be saved again", async () => {
    const { dialog } = await opened("half");
    const limit = await stack.client.setLimit({ body: { kind: "queue", name: "local/half", slots: 2 } });
    await dialog.getByLabel(/^Priority/).fill("6");
    await dialog.getByLabel(/^Runs at once/).fill("3");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog
      .getByText(/The limit of queue "local\/half" already exists/)
      .first()
      .waitFor();
    expect(await queues()).toContainEqual(["half", 6]);
    await stack.client.deleteLimit({ params: { limitId: limit.id } });
    await dialog.getByLabel(/^Priority/).fill("7");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    expect(await queues()).toContainEqual(["half", 7]);
    expect(await slotsOf("local/half")).toEqual([["queue", 3]]);
  });

  test("an empty field does not remove a limit that somebody else has changed", async () => {
    await stack.client.setQueue({ params, body: { queue: "kept", priority: 5 } });
    await stack.client.setLimit({ body: { kind: "queue", name: "local/kept", slots: 2 } });
    const { dialog } = await opened("kept");
    await expect.poll(() => dialog.getByLabel(/^Runs at once/).inputValue()).toBe("2");
    await stack.client.setLimit({ body: { kind: "queue", name: "local/kept", slots: 9 } });
    await dialog.getByLabel(/^Runs at once/).fill("");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog
      .getByText(/has been changed by somebody else/)
      .first()
      .waitFor();
    expect(await slotsOf("local/kept")).toEqual([["queue", 9]]);
  });

  test("a queue is removed with its limit after a confirmation", async () => {
    await stack.client.setQueue({ params, body: { queue: "doomed" } });
    await stack.client.setLimit({ body: { kind: "queue", name: "local/doomed", slots: 2 } });
    const { page, dialog } = await opened("doomed");
    await dialog.getByRole("button", { name: "Remove…" }).click();
    const sure = page.getByRole("dialog", { name: "Remove queue doomed of local?" });
    await sure.getByText(/Its limit is removed too/).waitFor();
    await sure.getByRole("button", { name: "Remove the queue" }).click();
    await sure.waitFor({ state: "detached" });
    await expect.poll(() => page.getByRole("row", { name: /doomed/ }).count()).toBe(0);
    expect((await queues()).map(([name]) => name)).not.toContain("doomed");
    expect(await slotsOf("local/doomed")).toEqual([]);
  });

  test("a pool is removed after a confirmation, unless something uses it", async () => {
    await stack.client.createPool({ body: { name: "idle" } });
    await stack.client.setQueue({ params: { name: "idle" }, body: { queue: "bulk" } });
    await stack.client.setLimit({ body: { kind: "queue", name: "idle/bulk", slots: 1 } });
    const { page } = await look("/pools");
    await page.getByRole("button", { name: "Remove pool idle" }).click();
    const dialog = page.getByRole("dialog", { name: "Remove pool idle?" });
    await dialog.getByText("Its queues and limits are removed with it.").waitFor();
    await dialog.getByRole("button", { name: "Remove the pool" }).click();
    await dialog.waitFor({ state: "detached" });
    await expect.poll(() => page.getByRole("button", { name: "Remove pool idle" }).count()).toBe(0);
    expect(await slotsOf("idle/bulk")).toEqual([]);
    await page.getByRole("button", { name: "Remove pool local" }).click();
    const used = page.getByRole("dialog", { name: "Remove pool local?" });
    await used.getByRole("button", { name: "Remove the pool" }).click();
    await used.getByText(/Versions of these deployments name it: asks, held, plain, thrower/).waitFor();
    expect((await stack.client.listPools({})).items.map(({ name }) => name)).toContain("local");
  });

  test("a reader without permission sees no buttons", async () => {
    await stack.client.setQueue({ params, body: { queue: "seen" } });
    const { secret } = await stack.client.createKey({ body: { kind: "api", name: "op", role: "operator" } });
    const { page } = await look("/pools", { client: createClient({ url: stack.url, token: secret }) });
    await page.getByRole("row", { name: /seen/ }).waitFor();
    expect(await page.getByRole("button", { name: /^(New|Edit|Remove)/ }).count()).toBe(0);
  });
});
