import { uuidv7 } from "@towpath/contract";
import type { Page } from "playwright-core";
import { expect, test, vi } from "vitest";
import { deployHeld } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { seriousFaults } from "./axe.fixture.ts";
import { chromiumPath, openBrowsing } from "./browser.fixture.ts";

/** Ten axe checks take long on a busy machine. */
vi.setConfig({ testTimeout: 240_000 });

let stack: Stack;
let failed: string;
const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await deployHeld(stack);
  await stack.startWorker();
  failed = await stack.run("thrower");
  await stack.waitForRun(failed);
  const scheduledAt = new Date(Date.now() + 3_600_000).toISOString();
  await stack.client.createRun({ body: { id: uuidv7(Date.now()), deployment: "asks", scheduledAt } });
});

/** Opens a dialog or a menu. */
interface Opened {
  readonly name: string;
  readonly path: () => string;
  readonly open: (page: Page) => Promise<void>;
}

const press = (name: string) => (page: Page) => page.getByRole("button", { name, exact: true }).click();

/** Selects every run of the list, and opens a dialog for them. */
const choose = (name: string) => async (page: Page) => {
  await page.getByRole("checkbox", { name: /^Select all/ }).check();
  await press(name)(page);
  await page.getByRole("dialog", { name }).waitFor();
};

const DIALOGS: readonly Opened[] = [
  {
    name: "cancelling runs",
    path: () => "/runs?state=scheduled",
    open: choose("Cancel 1 run"),
  },
  { name: "rerunning runs", path: () => "/runs?state=failed", open: choose("Rerun 1 run") },
  {
    name: "the plan of a rerun",
    path: () => `/runs/${failed}?rerun=failure`,
    open: (page) => page.getByText(/reuse 0 · run at least 1/).waitFor(),
  },
  {
    name: "running again",
    path: () => `/runs/${failed}?rerun=again`,
    open: (page) => page.getByText("This deployment has no parameters.").waitFor(),
  },
  {
    name: "where else a run is looked at",
    path: () => `/runs/${failed}`,
    open: async (page) => {
      await page.locator("summary", { hasText: "More" }).click();
      await page.getByRole("link", { name: "Data sent" }).waitFor();
    },
  },
  {
    name: "the states to choose from",
    path: () => "/runs",
    open: async (page) => {
      await page.locator("summary", { hasText: "Any state" }).click();
      await page.getByRole("checkbox", { name: "suspended" }).waitFor();
    },
  },
  {
    name: "the times to choose from",
    path: () => "/runs?since=24h",
    open: async (page) => {
      await page.locator("summary", { hasText: "Last 24h" }).click();
      await page.getByLabel("Until").waitFor();
    },
  },
  {
    name: "a new schedule with a fault",
    path: () => "/schedules",
    open: async (page) => {
      await press("New schedule")(page);
      const dialog = page.getByRole("dialog", { name: "New schedule" });
      await dialog.getByLabel("Deployment").selectOption("asks");
      await dialog.getByLabel("Name").fill("nightly");
      await dialog.getByLabel(/^Cron expression/).fill("0 3 * * *");
      await dialog.getByText("Overlap, missed times and more").click();
      await dialog.getByLabel("Delay each run by up to").fill("soon");
      await dialog.getByRole("button", { name: "Create the schedule" }).click();
      await dialog.locator("[aria-invalid=true]").waitFor();
    },
  },
  {
    name: "a new limit of a deployment with a fault",
    path: () => "/limits",
    open: async (page) => {
      await press("New limit")(page);
      const dialog = page.getByRole("dialog", { name: "New limit" });
      await dialog.getByLabel("Limits").selectOption("deployment");
      await dialog.getByLabel("Deployment").selectOption("asks");
      await dialog.getByLabel("Counted").selectOption("rate");
      await dialog.getByRole("button", { name: "Create the limit" }).click();
      await dialog.locator("[aria-invalid=true]").waitFor();
    },
  },
  {
    name: "a new queue with a fault",
    path: () => "/pools",
    open: async (page) => {
      await press("New queue of local")(page);
      const dialog = page.getByRole("dialog", { name: "New queue of local" });
      await dialog.getByLabel(/^Name/).fill("urgent");
      await dialog.getByLabel(/^Priority/).fill("high");
      await dialog.getByRole("button", { name: "Create the queue" }).click();
      await dialog.locator("[aria-invalid=true]").waitFor();
    },
  },
  { name: "deleting a pool", path: () => "/pools", open: press("Remove pool local") },
  { name: "making a key", path: () => "/keys", open: press("Create a key") },
  { name: "adding a notifier", path: () => "/notify", open: press("Add a notifier") },
  {
    name: "the palette",
    path: () => "/runs",
    open: async (page) => {
      await page.locator("[data-row]").first().waitFor();
      await page.keyboard.press("ControlOrMeta+k");
      await page.getByRole("option").first().waitFor();
    },
  },
  {
    name: "the list of keys",
    path: () => "/states",
    open: async (page) => {
      await page.getByText("How to read this").waitFor();
      await page.keyboard.press("Shift+?");
      await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
    },
  },
];

test.skipIf(chromiumPath === undefined).each([
  { at: "a desk, light", width: 1280, colorScheme: "light" },
  { at: "a phone, dark", width: 390, colorScheme: "dark" },
] as const)(
  "Dialogs and menus pass the accessibility check and fit the screen: at $at",
  async ({ width, colorScheme }) => {
    const { page, faults } = await look("/limits", { width, colorScheme });
    for (const { name, path, open } of DIALOGS) {
      await page.goto(`${stack.url}${path()}`);
      await open(page);
      const dialog = page.getByRole("dialog");
      if ((await dialog.count()) > 0) {
        await dialog.waitFor();
        const box = await dialog.boundingBox();
        expect([name, (box?.x ?? -1) >= 0, (box?.x ?? 0) + (box?.width ?? 0) <= width]).toEqual([
          name,
          true,
          true,
        ]);
      }
      expect([name, await seriousFaults(page)]).toEqual([name, []]);
      expect([name, await page.evaluate("document.documentElement.scrollWidth")]).toEqual([name, width]);
    }
    expect(faults).toEqual([]);
  },
);
