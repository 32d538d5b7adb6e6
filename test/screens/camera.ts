import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { followSignInLink } from "../harness/follow-link.ts";
import { pictureOf, type Screen, type ScreenState, SIZES, statesOf, THEMES, type World } from "./screens.ts";
import type { Place } from "./worlds.ts";

/** The quality of the pictures, of 100. Text stays sharp. */
const QUALITY = 82;

/** The browser that takes pictures, and their folder. */
export interface Camera {
  readonly browser: Browser;
  readonly folder: string;
}

/** The answers of the API in the states other than full and empty. */
const ANSWERS: Partial<
  Record<ScreenState, { status: number; code: string; title: string; detail: string } | "never">
> = {
  loading: "never",
  error: {
    status: 500,
    code: "internal",
    title: "The control plane failed unexpectedly",
    detail: "The control plane's log has the details under this request id.",
  },
  "no-permission": {
    status: 403,
    code: "forbidden",
    title: "This key may not do that",
    detail: "The role of this key lacks what this needs.",
  },
};

/** The request of every screen's frame, which gets its real answer. */
const FRAME = /\/api\/me$/;

async function answerAs(context: BrowserContext, state: ScreenState): Promise<void> {
  const answer = ANSWERS[state];
  if (answer === undefined) return;
  await context.route(/\/api\//, async (route) => {
    if (FRAME.test(route.request().url())) return route.continue();
    // An unanswered request ends with its page.
    if (answer === "never") return;
    const { status, ...problem } = answer;
    const body = {
      type: `/problems/${problem.code}`,
      status,
      instance: "/api",
      retryable: false,
      ...problem,
    };
    await route.fulfill({ status, contentType: "application/problem+json", body: JSON.stringify(body) });
  });
}

/** A signed-in page. */
async function openPage(
  camera: Camera,
  args: { place: Place; size: keyof typeof SIZES; state: ScreenState },
): Promise<Page> {
  const context = await camera.browser.newContext({
    viewport: SIZES[args.size],
    reducedMotion: "reduce",
    locale: "en-GB",
    timezoneId: "Europe/Lisbon",
  });
  const page = await context.newPage();
  const { url } = await args.place.client.createSignInLink();
  await followSignInLink(page, url);
  await answerAs(context, args.state);
  return page;
}

/** A selector for what a screen shows in a state. */
function readyOf(screen: Screen, state: ScreenState): string {
  if (state === "loading") return "[aria-label='Loading']";
  if (state === "full" || state === "empty") return screen.ready[state];
  return screen.asks === false ? "main h1" : "[role=alert]";
}

/**
 * Waits until a screen shows its state.
 * @throws Error naming the screen.
 */
async function settle(page: Page, args: { screen: Screen; state: ScreenState }): Promise<void> {
  const visible = page.locator(readyOf(args.screen, args.state)).filter({ visible: true });
  try {
    await visible.first().waitFor();
    if (args.state === "full" || args.state === "empty") {
      await args.screen.leads?.(page);
      await page.locator("[aria-label='Loading']").first().waitFor({ state: "detached" });
    }
  } catch (cause) {
    throw new Error(`${args.screen.name} never showed its state "${args.state}"`, { cause });
  }
  await page.evaluate("document.fonts.ready");
  if (args.screen.comesInParts && args.state === "full") await page.evaluate(UNCHANGED);
}

/** Resolves when the text of the screen has not changed for a while. */
const UNCHANGED = `new Promise((done) => {
  let said = "";
  const look = () => {
    const now = document.querySelector("main").innerText;
    if (now === said) return done();
    said = now;
    setTimeout(look, 1500);
  };
  look();
})`;

async function take(page: Page, path: string): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: QUALITY });
  await session.detach();
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, Buffer.from(data, "base64"));
}

/**
 * Takes pictures of screens in one state, in each theme.
 * @returns The console errors of the pages.
 */
export async function shoot(
  camera: Camera,
  args: {
    place: Place;
    world: World;
    screens: readonly Screen[];
    state: ScreenState;
    size: keyof typeof SIZES;
  },
): Promise<string[]> {
  const page = await openPage(camera, args);
  const faults: string[] = [];
  const told = args.state === "full" || args.state === "empty";
  page.on("console", (message) => told && message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(error.message));
  for (const screen of args.screens.filter((one) => statesOf(one).includes(args.state))) {
    await page.goto(`${args.place.url}${screen.path(args.world)}`);
    await settle(page, { screen, state: args.state }).catch((error: Error) => faults.push(error.message));
    for (const theme of THEMES) {
      await page.emulateMedia({ colorScheme: theme });
      const state = args.size === "phone" ? "phone" : args.state;
      await take(page, join(camera.folder, pictureOf(screen, { state, theme })));
    }
  }
  await page.context().close();
  return faults;
}
