import { type Client, createClient } from "@towpath/client";
import { uuidv7 } from "@towpath/contract";
import { exportJWK, generateKeyPair } from "jose";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { deployHeld } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { chromiumPath, openBrowsing, panel } from "./browser.fixture.ts";

let stack: Stack;
/** A run that a worker refused, a run with a question, and a scheduled run. */
let refused: string;
let asking: string;
let coming: string;

/** Runs a flow on a worker that trusts only another key. */
async function refuse(): Promise<string> {
  const { publicKey } = await generateKeyPair("EdDSA", { extractable: true });
  const trustedKeys = [{ ...(await exportJWK(publicKey)), kid: "somebody-else" }];
  await using worker = await stack.startWorker({ name: "stranger", settings: { trustedKeys } });
  const runId = await stack.run("thrower");
  await stack.waitForRun(runId);
  worker.kill("SIGTERM");
  await worker.exited;
  return runId;
}

const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await deployHeld(stack);
  await stack.client.setSchedule({
    params: { name: "asks" },
    body: { name: "nightly", timing: { kind: "cron", cron: "0 3 * * *", zone: "Europe/Berlin" } },
  });
  refused = await refuse();
  await stack.startWorker({ name: "sample-1" });
  asking = await stack.run("asks");
  await stack.waitForRun(asking, ({ state }) => state === "suspended");
  coming = uuidv7(Date.now());
  const scheduledAt = new Date(Date.now() + 3_600_000).toISOString();
  await stack.client.createRun({ body: { id: coming, deployment: "plain", scheduledAt } });
});

const as = (secret: string) => createClient({ url: stack.url, token: secret });

test.skipIf(chromiumPath === undefined)(
  "A key is created and shown once, works, and is revoked after a confirmation",
  async () => {
    const { page, faults } = await look("/keys");
    await page.getByRole("button", { name: "Create a key" }).click();
    const dialog = page.getByRole("dialog", { name: "Create a key" });
    await dialog.getByLabel("Name").fill("ci");
    await dialog.getByLabel("Role").selectOption("operator");
    await dialog.getByRole("button", { name: "Create the key" }).click();
    const shown = page.getByRole("dialog", { name: "New key" });
    const secret = (await shown.getByText(/^twp_api_/).textContent()) ?? "";
    await shown.getByRole("button", { name: "Done" }).click();
    await shown.waitFor({ state: "detached" });
    expect((await as(secret).getMe()).key).toMatchObject({ name: "ci", role: "operator" });
    const row = panel(page, "All keys").getByRole("listitem").filter({ hasText: "ci" });
    await row.getByText("operator").waitFor();
    await page.reload();
    await row.getByText(/^used/).waitFor();
    expect(await page.content()).not.toContain(secret);

    await row.getByRole("button", { name: "Revoke" }).click();
    expect((await as(secret).getMe()).key.name).toBe("ci");
    await row.getByRole("button", { name: "Revoke permanently" }).click();
    await row.getByText(/^revoked/).waitFor();
    expect(await row.getByRole("button").count()).toBe(0);
    await expect(as(secret).getMe()).rejects.toMatchObject({ status: 401 });
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "The page of a version shows which worker refused its signature and why, and which verified it later",
  async () => {
    const { page, faults } = await look("/deployments/thrower?tab=versions");
    const signature = panel(page, "Signature");
    await signature.getByText(/^Refused by stranger/).waitFor();
    await signature
      .getByText(/signature|key/i)
      .first()
      .waitFor();
    expect(await signature.getByText("Verified by").count()).toBe(0);
    await stack.waitForRun(await stack.run("thrower"));
    await signature.getByText(/^Verified by sample-1/).waitFor();
    await signature
      .getByText(/^Refused by stranger/)
      .getByRole("link")
      .click();
    await page.waitForURL(new RegExp(refused));
    expect(faults).toEqual([]);
  },
);

/** Screens with actions that a viewer does not see. */
const HIDDEN = [
  { path: () => `/runs/${refused}`, ready: "[aria-label='Root cause']", button: /^(Rerun|Run again|Cancel)/ },
  {
    path: () => `/runs/${coming}`,
    ready: "text=Why is it not running?",
    button: /^(Rerun|Run again|Cancel)/,
  },
  { path: () => "/schedules", ready: "text=All schedules", button: /^(Pause|Resume|Cancel|New|Edit)/ },
  { path: () => "/notify", ready: "text=No notifiers yet", button: /^Add/ },
] as const;

/** The requests of the hidden buttons. */
const ASKED: Readonly<Record<string, (client: Client) => Promise<unknown>>> = {
  "cancel a run": (client) => client.cancelRun({ params: { runId: coming }, body: {} }),
  "rerun a run": (client) =>
    client.rerunRun({ params: { runId: refused }, body: { id: uuidv7(Date.now()), fromFailure: true } }),
  "start a run": (client) => client.createRun({ body: { id: uuidv7(Date.now()), deployment: "plain" } }),
  "pause a schedule": (client) => client.pauseSchedule({ params: { name: "asks", schedule: "nightly" } }),
  "make a key": (client) => client.createKey({ body: { kind: "api", name: "mine", role: "admin" } }),
  "list keys": (client) => client.listKeys({}),
  "add a notifier": (client) =>
    client.createNotifier({ body: { name: "mine", url: "https://hooks.example/in", events: ["failure"] } }),
};

describe.skipIf(chromiumPath === undefined)("a reader with the role viewer", () => {
  const viewer = async () =>
    as((await stack.client.createKey({ body: { kind: "api", name: "reader", role: "viewer" } })).secret);
  const buttons = (page: Page, name: RegExp) => page.locator("main").getByRole("button", { name });

  test("sees everything but the buttons that would be rejected", async () => {
    const { page, faults } = await look("/", { client: await viewer() });
    await page.getByText("Activity").first().waitFor();
    for (const { path, ready, button } of HIDDEN) {
      await page.goto(`${stack.url}${path()}`);
      await page.locator(ready).first().waitFor();
      expect([path(), await buttons(page, button).allTextContents()]).toEqual([path(), []]);
    }
    await page.goto(`${stack.url}/runs`);
    await page.locator("[data-row]").first().waitFor();
    expect(await page.getByRole("checkbox", { name: /^Select/ }).count()).toBe(0);
    await page.goto(`${stack.url}/deployments/plain`);
    await page.getByText("Your key has no permission to start runs.").waitFor();
    expect(await page.getByRole("button", { name: "Start a run" }).isDisabled()).toBe(true);
    await page.goto(`${stack.url}/waits`);
    await page.getByText(/^Only a key with the role operator/).waitFor();
    expect(await page.getByRole("radio", { name: "Approve" }).isDisabled()).toBe(true);
    await page.keyboard.press("ControlOrMeta+k");
    await page.getByRole("combobox", { name: "Go to" }).fill("nightly");
    await page.getByRole("option", { name: "nightly of" }).first().waitFor();
    expect(await page.getByRole("option", { name: /Pause schedule/ }).count()).toBe(0);
    expect(faults).toEqual([]);
  });

  test("gets an explanation on a screen without permission", async () => {
    const { page } = await look("/keys", { client: await viewer() });
    await page.getByRole("alert").waitFor();
    expect(await page.getByRole("button", { name: "Create a key" }).count()).toBe(0);
  });

  test.each(Object.keys(ASKED))("is rejected by the API: %s", async (what) => {
    await expect(ASKED[what]?.(await viewer())).rejects.toMatchObject({ code: "forbidden" });
  });

  test("is rejected with the session of the page too", async () => {
    const { page } = await look("/", { client: await viewer() });
    const answer = await page.context().request.post(`${stack.url}/api/runs/${coming}/cancel`, {
      data: {},
      headers: { origin: stack.url },
    });
    expect([answer.status(), await answer.json()]).toMatchObject([403, { code: "forbidden" }]);
    expect((await stack.client.getRun({ params: { runId: coming } })).state).toBe("scheduled");
  });
});
