/**
 * Takes a picture of every screen from a real server with a seeded day, light and dark, at two widths.
 * Usage: npm run screenshots -- [FOLDER]
 */
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { CHROMIUM_ARGUMENTS, findChromium, type Stack, startStack } from "../harness/index.ts";
import { type Demo, prepareDemo } from "./demo.ts";

const SIZES = { wide: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } } as const;
const THEMES = ["light", "dark"] as const;

/** Every screen, and what is on it once it has settled. */
function screensOf(demo: Demo): { name: string; path: string; ready: string }[] {
  return [
    { name: "home", path: "/", ready: "text=Activity" },
    { name: "runs", path: "/runs", ready: "[data-row]" },
    { name: "runs-none", path: "/runs?text=nothing-like-this", ready: "text=No run fits" },
    { name: "run", path: `/runs/${demo.completed}`, ready: "text=done" },
    { name: "run-failed", path: `/runs/${demo.failed}`, ready: "[aria-label='Root cause']" },
    { name: "run-live", path: `/runs/${demo.running}`, ready: "text=41,220" },
    { name: "run-blocked", path: `/runs/${demo.blocked}`, ready: "text=Why is it not running?" },
    { name: "run-unfit", path: `/runs/${demo.unfit}`, ready: "text=Why is it not running?" },
    { name: "deployments", path: "/deployments", ready: "[data-row]" },
    { name: "deployment", path: "/deployments/penguin-census", ready: "text=Start a run" },
    { name: "pools", path: "/pools", ready: "text=barge-1" },
    { name: "schedules", path: "/schedules", ready: "text=Upcoming" },
    { name: "limits", path: "/limits", ready: "text=holds" },
    { name: "keys", path: "/keys", ready: "text=All keys" },
    { name: "states", path: "/states", ready: "text=How to read this" },
  ];
}

async function signIn(stack: Stack, page: Page): Promise<void> {
  const { url } = await stack.client.createSignInLink();
  await page.goto(url);
}

async function shoot(a: { stack: Stack; browser: Browser; demo: Demo; folder: string }): Promise<void> {
  for (const colorScheme of THEMES)
    for (const [size, viewport] of Object.entries(SIZES)) {
      const context = await a.browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
      const page = await context.newPage();
      await signIn(a.stack, page);
      for (const screen of screensOf(a.demo)) {
        await page.goto(`${a.stack.url}${screen.path}`);
        await page.locator(screen.ready).first().waitFor();
        await page.locator("[aria-label='Loading']").first().waitFor({ state: "detached" });
        await page.evaluate("document.fonts.ready");
        await page.screenshot({ path: join(a.folder, `${screen.name}-${size}-${colorScheme}.png`) });
      }
      await context.close();
    }
}

const executablePath = findChromium();
if (executablePath === undefined) throw new Error("Pictures of the screens need chromium.");
const folder = resolve(process.argv[2] ?? "docs/images/screens");
await mkdir(folder, { recursive: true });
await using stack = await startStack({ database: "embedded" });
const demo = await prepareDemo(stack);
const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_ARGUMENTS] });
await shoot({ stack, browser, demo, folder });
await browser.close();
