import type { Client } from "@towpath/client";
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { followSignInLink } from "../harness/follow-link.ts";
import {
  CHROMIUM_ARGUMENTS,
  findChromium,
  type Stack,
  type StackOptions,
  startStack,
} from "../harness/index.ts";

/** Undefined: the machine has no browser, and browser tests are skipped. */
export const chromiumPath = findChromium();

/** A page, with its faults: console errors, and requests to other hosts. */
export interface Look {
  readonly page: Page;
  readonly faults: readonly string[];
}

/** The options of a page. */
export interface LookOptions {
  /** @default "light" */
  readonly colorScheme?: "light" | "dark";
  /** Pixels. @default 1280 */
  readonly width?: number;
  /** Pixels. @default 900 */
  readonly height?: number;
  /** The client whose sign-in link the page uses. @default the stack's admin */
  readonly client?: Client;
}

/** A stack and a browser for the tests of one file. */
export interface Browsing {
  /** Opens a signed-in page at `path`. */
  look(path: string, args?: LookOptions): Promise<Look>;
  /** Opens a browser context without a session. */
  openContext(options?: BrowserContextOptions): Promise<BrowserContext>;
}

/** The window of a desktop. */
const DESK = { width: 1280, height: 900 } as const;

/**
 * Collects the faults of a page.
 * @param origin the only host that it may call
 */
function watch(page: Page, origin: string): string[] {
  const faults: string[] = [];
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !/^(data|blob):/.test(url)) faults.push(`asked ${url}`);
  });
  return faults;
}

/** Starts a stack and a browser before the tests of this file, and stops them after. */
export function openBrowsing(
  prepare: (stack: Stack) => Promise<unknown>,
  options: StackOptions = {},
): Browsing {
  let stack: Stack | undefined;
  let browser: Browser | undefined;
  beforeAll(async () => {
    stack = await startStack(options);
    await prepare(stack);
    if (chromiumPath === undefined) return;
    browser = await chromium.launch({ executablePath: chromiumPath, args: [...CHROMIUM_ARGUMENTS] });
  });
  afterAll(async () => {
    await browser?.close();
    await stack?.[Symbol.asyncDispose]();
  });
  const openContext = async (more: BrowserContextOptions = {}) => {
    if (browser === undefined) throw new Error("There is no browser.");
    return browser.newContext({ viewport: DESK, ...more });
  };
  const look = async (path: string, args: LookOptions = {}) => {
    if (stack === undefined) throw new Error("There is no stack.");
    const viewport = { width: args.width ?? DESK.width, height: args.height ?? DESK.height };
    const context = await openContext({ viewport, colorScheme: args.colorScheme ?? "light" });
    const page = await context.newPage();
    const faults = watch(page, stack.url);
    const link = new URL((await (args.client ?? stack.client).createSignInLink()).url);
    link.searchParams.set("to", path);
    await followSignInLink(page, link.href);
    return { page, faults };
  };
  return { look, openContext };
}

/** The state in the header of a run's page. */
export const inHeader = (page: Page, state: string) =>
  page.locator(`[data-run-header] [data-state=${state}]`);

/** A panel, by its heading. */
export const panel = (page: Page, title: string) =>
  page.locator("section", { has: page.getByRole("heading", { name: title, exact: true }) });
