import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { deployHeld, deployProject, startHeld } from "../e2e/fixture.ts";
import type { Stack } from "../harness/index.ts";
import { routesIn } from "../screens/screens.ts";
import { seriousFaults } from "./axe.fixture.ts";
import { chromiumPath, inHeader, openBrowsing } from "./browser.fixture.ts";

/** Texts that could trick a terminal, a browser or a page. */
const TRICKS = [
  "<img src=x onerror=\"document.title='owned'\"> markup",
  "\\u001b]8;;https://evil.invalid/\\u0007a link of a terminal\\u001b]8;;\\u0007",
  "hidden\\rshown",
  "right \\u202egnp.exe",
];

const FLOW = `
import { artifact, flow, log, task } from "towpath";

const fail = task({ name: "fail" }, async () => {
  throw new TypeError("no such column: <b>price</b>");
});
export const tricks = flow({ name: "tricks" }, async () => {
  for (const line of [${TRICKS.map((line) => `"${line.replaceAll('"', '\\"')}"`).join(", ")}]) log.info(line);
  await artifact.markdown({ key: "md", title: "Markdown", text: "<script>document.title='owned'</script> [x](javascript:alert(1)) ![i](https://evil.invalid/i.png)" });
  await fail();
});
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { tricks } from "./flow.ts";

export default defineConfig({
  project: "tricks",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(tricks, { schedules: [{ name: "nightly", timing: { kind: "cron", cron: "0 3 * * *", zone: "Europe/Berlin" } }] })],
});
`;

let stack: Stack;
let failed: string;
const { look } = openBrowsing(async (opened) => {
  stack = opened;
  await deployHeld(stack);
  await deployProject(stack, { "flow.ts": FLOW, "towpath.config.ts": CONFIG });
  await stack.startWorker();
  failed = await stack.run("tricks");
  await stack.waitForRun(failed);
});

const SCREENS = [
  { path: "/", ready: "text=Activity" },
  { path: "/runs", ready: "[data-row]" },
  { path: "/waits", ready: "text=No open questions" },
  { path: "/waits?view=answered", ready: "text=No answered questions yet" },
  { path: "/waits?view=others", ready: "text=No other waits" },
  { path: "/deployments", ready: "[data-row]" },
  { path: "/deployments/tricks", ready: "text=Start a run" },
  { path: "/deployments/tricks?tab=versions", ready: "text=This is the first version" },
  { path: "/deployments/tricks?tab=schedules", ready: "text=Upcoming" },
  { path: "/pools", ready: "text=✓ online" },
  { path: "/schedules", ready: "text=All schedules" },
  { path: "/limits", ready: "text=No limit is set" },
  { path: "/notify", ready: "text=No notifiers yet" },
  { path: "/keys", ready: "text=All keys" },
  { path: "/states", ready: "text=How to read this" },
  { path: "/nowhere", ready: "text=Page not found" },
] as const;

/** The screens of one run. */
const OF_A_RUN = [
  { name: "a run's calls over time", path: "?critical=true", ready: "[data-task]" },
  { name: "a run's calls as a graph", path: "?tasks=graph", ready: "[data-graph-node]" },
  { name: "what left of a run", path: "/wire", ready: "text=Stored by the control plane" },
  { name: "the runs to compare one with", path: "/compare", ready: "text=has no other run" },
  { name: "a comparison of runs", path: "/compare/OTHER", ready: "text=No call differs" },
] as const;

describe.skipIf(chromiumPath === undefined)("every screen", () => {
  for (const { path, ready } of SCREENS)
    test(`${path} has no console error, no accessibility fault and no request to another host`, async () => {
      for (const colorScheme of ["light", "dark"] as const) {
        const { page, faults } = await look(path, { colorScheme });
        await page.locator(ready).first().waitFor();
        expect(await seriousFaults(page)).toEqual([]);
        expect(faults).toEqual([]);
        await page.context().close();
      }
    });

  for (const { name, path, ready } of OF_A_RUN)
    test(`${name} have no console error, no accessibility fault and no request to another host`, async () => {
      for (const colorScheme of ["light", "dark"] as const) {
        const { page, faults } = await look(`/runs/${failed}${path.replace("OTHER", failed)}`, {
          colorScheme,
        });
        await page.locator(ready).first().waitFor();
        expect(await seriousFaults(page)).toEqual([]);
        expect(faults).toEqual([]);
        await page.context().close();
      }
    });

  test("fits a phone without scrolling sideways, and has no accessibility fault there", async () => {
    const { page, faults } = await look("/", { width: 390 });
    for (const { path, ready } of [
      ...SCREENS,
      { path: `/runs/${failed}`, ready: "[aria-label='Root cause']" },
      ...OF_A_RUN.map(({ path, ready }) => ({
        path: `/runs/${failed}${path.replace("OTHER", failed)}`,
        ready,
      })),
    ]) {
      await page.goto(`${stack.url}${path}`);
      await page.locator(ready).first().waitFor();
      const wide = await page.evaluate("document.documentElement.scrollWidth");
      expect([path, wide, await seriousFaults(page), faults]).toEqual([path, 390, [], []]);
    }
  }, 240_000);
});

test.skipIf(chromiumPath === undefined)(
  "A failed run opens at its root cause, and its output is shown as plain text",
  async () => {
    const { page, faults } = await look(`/runs/${failed}`);
    const cause = page.getByLabel("Root cause");
    await cause.getByText("no such column: <b>price</b>").waitFor();
    await cause.getByText(/^at .*flow\.ts:\d+/).waitFor();
    const log = page.getByRole("log");
    await log.getByText("<img src=x onerror=\"document.title='owned'\"> markup").waitFor();
    await log.getByText("a link of a terminal", { exact: true }).waitFor();
    await log.getByText("hidden·shown").waitFor();
    await log.getByText("right ·gnp.exe").waitFor();
    expect(
      await page.locator("main a[href*='evil'], main img[src*='evil'], a[href^='javascript']").count(),
    ).toBe(0);
    expect(await page.title()).toContain("failed · tricks");
    expect(await seriousFaults(page)).toEqual([]);
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "Filters are in the address, and the back button removes them",
  async () => {
    const { page, faults } = await look("/runs");
    await page.getByRole("link", { name: /^tricks/ }).waitFor();
    await page.getByLabel("Deployment", { exact: true }).selectOption("held");
    await page.getByText("No runs match these filters").waitFor();
    expect(new URL(page.url()).searchParams.get("deployment")).toBe("held");
    await page.goBack();
    await page.getByRole("link", { name: /^tricks/ }).waitFor();
    await page.locator("summary", { hasText: "State" }).click();
    await page.getByRole("checkbox", { name: "failed" }).check();
    await page.getByRole("checkbox", { name: "crashed" }).check();
    await page.waitForURL(/state=failed(%2C|,)crashed/);
    await page.reload();
    await page.getByRole("link", { name: /^tricks/ }).click();
    await page.getByLabel("Root cause").waitFor();
    await page.goBack();
    await page.waitForURL(/state=failed/);
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)(
  "The keyboard reaches everything: g and a letter, the palette, rows, the list of shortcuts",
  async () => {
    const { page, faults } = await look("/");
    await page.getByText("Activity").first().waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("r");
    await page.getByRole("table", { name: "Runs" }).locator("[data-row]").first().waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/runs\/[0-9a-f-]{36}/);
    await page.goBack();
    await page.getByRole("table", { name: "Runs" }).locator("[data-row]").first().waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("tricks");
    await page.waitForURL(/text=tricks/);
    await page.keyboard.press("Escape");
    await page.keyboard.press("ControlOrMeta+k");
    await page.getByRole("combobox", { name: "Go to" }).fill("sched");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/schedules$/);
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("Shift+?");
    await page.getByRole("dialog").getByText("Go anywhere").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect(faults).toEqual([]);
  },
);

/** The index of the focused row. -1: none. */
const FOCUSED_ROW = "[...document.querySelectorAll('[data-row]')].indexOf(document.activeElement)";

test.skipIf(chromiumPath === undefined)(
  "g and a letter open each screen; j and k move through the rows and stop at the ends",
  async () => {
    const { page, faults } = await look(`/runs/${failed}`);
    await page.getByRole("button", { name: "wrap", exact: true }).waitFor();
    await page.keyboard.press("Shift+?");
    const help = page.locator("section", { has: page.getByRole("heading", { name: "Go to" }) });
    await help.waitFor();
    const pairs = await help.locator("dt").allTextContents();
    const names = await help.locator("dd").allTextContents();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    const go = async (name: string) => {
      for (const key of pairs[names.indexOf(name)]?.split(" ") ?? []) await page.keyboard.press(key);
      await page.locator("nav a[aria-current=page]:visible", { hasText: name }).waitFor();
    };
    // The keys `g w` must not change the wrapping.
    await go("Waits");
    expect(await page.evaluate("localStorage.getItem('towpath.log-wraps')")).toBe(null);
    for (const name of names) await go(name);
    const rail = page.locator("nav a:visible", { has: page.locator("svg") });
    expect(names).toEqual((await rail.allTextContents()).map((text) => text.trim()));
    await go("Deployments");
    const rows = page.locator("[data-row]");
    await rows.first().waitFor();
    const last = (await rows.count()) - 1;
    expect(last).toBeGreaterThan(1);
    const seen: unknown[] = [];
    for (const key of ["k", "j", "k", "k"]) {
      await page.keyboard.press(key);
      seen.push(await page.evaluate(FOCUSED_ROW));
    }
    expect(seen).toEqual([last, last, last - 1, last - 2]);
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)("The selected theme stays", async () => {
  const { page } = await look("/states");
  await page
    .getByRole("button", { name: /^Theme: system/ })
    .first()
    .click();
  await page
    .getByRole("button", { name: /^Theme: light/ })
    .first()
    .click();
  await page.reload();
  await page
    .getByRole("button", { name: /^Theme: dark/ })
    .first()
    .waitFor();
  expect(await page.evaluate("getComputedStyle(document.documentElement).colorScheme")).toBe("dark");
});

test.skipIf(chromiumPath === undefined)(
  "The page of a deployment shows who deployed it, and starts a run with its form",
  async () => {
    const { page } = await look("/deployments/held");
    const { latest } = await stack.client.getDeployment({ params: { name: "held" } });
    expect(latest.registeredBy).not.toBe("");
    const deployer = page
      .locator("dl > div", { has: page.getByText("Deployed by", { exact: true }) })
      .locator("dd");
    await expect.poll(() => deployer.textContent()).toBe(latest.registeredBy);
    await page.getByRole("button", { name: "Start a run" }).click();
    expect(page.url()).toMatch(/\/deployments\/held$/);
    await page.getByLabel("folder").fill(stack.folder);
    await page.getByLabel(/^Tags/).fill("by-hand");
    await page.getByRole("button", { name: "Start a run" }).click();
    await page.waitForURL(/\/runs\/[0-9a-f-]{36}/);
    await page.locator("[data-run-header]").getByText("by-hand").waitFor();
    await page.getByRole("button", { name: "Cancel…" }).click();
    await page.getByRole("button", { name: "Cancel the run" }).click();
    await inHeader(page, "cancelled").waitFor();
  },
);

test.skipIf(chromiumPath === undefined)(
  "The calendar of a schedule shows each hour in the reader's zone, in UTC and in the schedule's zone, also with arrow keys",
  async () => {
    const { page, faults } = await look("/schedules?schedule=tricks%2Fnightly");
    const calendar = page.getByRole("table", { name: "Runs by the hour, Europe/Berlin" });
    await calendar
      .getByLabel(/03:00.*: 1 due/)
      .last()
      .hover();
    await page
      .getByText(/^1 due · .*03:00 (CET|CEST|GMT\+[12]) \(Europe\/Berlin\) · .* UTC · here /)
      .waitFor();
    await calendar.locator("[data-cell]").first().focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowDown");
    expect(await page.evaluate("document.activeElement.getAttribute('aria-label')")).toContain("01:00");
    await page.getByRole("button", { name: "Days" }).click();
    await page.getByRole("table", { name: "Runs by the day, Europe/Berlin" }).waitFor();
    expect(new URL(page.url()).searchParams.get("view")).toBe("days");
    expect(faults).toEqual([]);
  },
);

test.skipIf(chromiumPath === undefined)("On a phone a run is found, read and cancelled", async () => {
  const { runId } = await startHeld(stack);
  const { page, faults } = await look("/runs?deployment=held&state=running", { width: 390 });
  await page.getByRole("link", { name: /^held/ }).first().click();
  await page.waitForURL(new RegExp(runId));
  await page.getByText("before the hold").waitFor();
  await page.getByRole("button", { name: "Cancel…" }).click();
  await page.getByRole("button", { name: "Cancel the run" }).click();
  await inHeader(page, "cancelled").waitFor();
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
  expect((await stack.waitForRun(runId)).state).toBe("cancelled");
  expect(faults).toEqual([]);
});

test("Every screen of the router is tested here", async () => {
  const router = new URL("../../services/dashboard/src/router.tsx", import.meta.url);
  const ofARun = OF_A_RUN.map(({ path }) => `/runs/…${path}`);
  const looked = [...SCREENS.map(({ path }) => path as string), ...ofARun, "/runs/…"];
  const fits = (route: string) => new RegExp(`^${route.replaceAll(/\$\w+/g, "[^/]+")}$`);
  const left = routesIn(await readFile(router, "utf8")).filter(
    (route) => !looked.some((path) => fits(route).test(path)),
  );
  expect(left).toEqual([]);
});
