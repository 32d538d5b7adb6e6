import { join } from "node:path";
import type { Page } from "playwright-core";

/** What a screen may find: all that the demo has, nothing, no answer yet, a failure, a refusal. */
export const STATES = ["full", "empty", "loading", "error", "no-permission"] as const;

/** One of them. */
export type ScreenState = (typeof STATES)[number];

/** How people see it. */
export const THEMES = ["light", "dark"] as const;

/** The window of a desk, and that of a phone. */
export const SIZES = { wide: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } } as const;

/** What is in a workspace that screens show: ids and names of things by what they show. */
export interface World {
  /** A failed run of very many tasks. */
  readonly run: string;
  /** A run with a very long log. */
  readonly longLog: string;
  /** A run with many tasks and a log, and another of the same deployment. */
  readonly whole: string;
  readonly other: string;
  readonly deployment: string;
  /** A run of it, which takes parameters. */
  readonly edited: string;
}

/** One screen, or one side of it. */
export interface Screen {
  readonly name: string;
  /** The address as the router has it. */
  readonly route: string;
  readonly path: (world: World) => string;
  /** What is there once it has settled, if there is all of it; and if there is nothing. */
  readonly ready: { readonly full: string; readonly empty: string };
  /** Whether it asks the control plane for what it shows first. @default true */
  readonly asks?: boolean;
  /** Whether what it shows comes in parts, as the calls of a run do. @default false */
  readonly comesInParts?: boolean;
  /** Leads to the part that is pictured, once the screen has settled with what there is. */
  readonly leads?: (page: Page) => Promise<unknown>;
  /** What it may find. A part of a screen that has pictures of its own is pictured with all of it alone. @default every state */
  readonly states?: readonly ScreenState[];
}

const press = (name: string) => (page: Page) => page.getByRole("button", { name, exact: true }).click();

/** Opens a dialog of many runs with the first few of the list. */
const askOfRuns = (verb: string) => async (page: Page) => {
  for (const index of [1, 2, 3]) await page.getByRole("checkbox").nth(index).check();
  await press(`${verb} 3 runs`)(page);
  await page.getByRole("dialog").waitFor();
};

/** Of what stays at the top of a phone's screen, and of a run's page there. */
const PHONE_TOP_PX = 64;
const RUN_TOP_PX = 150;

/** Scrolls until something stands below what stays at the top. */
const scrollTo =
  (selector: string, topPx = PHONE_TOP_PX) =>
  async (page: Page) => {
    const top = (await page.locator(selector).first().boundingBox())?.y ?? 0;
    await page.evaluate(`window.scrollBy(0, ${top - topPx})`);
  };

/** Parts of screens, and what opens above them: pictured with all that there is. */
const PARTS: readonly Screen[] = [
  {
    name: "home-below",
    route: "/",
    path: () => "/",
    ready: { full: "section:has-text('Late or blocked') [data-row]", empty: "" },
    leads: scrollTo("section:has(h2:has-text('Late or blocked'))"),
  },
  {
    name: "runs-durations",
    route: "/runs",
    path: () => "/runs?since=7d",
    ready: { full: "[data-row]", empty: "" },
    leads: async (page: Page) => {
      await press("Durations")(page);
      await page.locator("figure .u-over").waitFor();
    },
  },
  {
    name: "runs-cancel",
    route: "/runs",
    path: () => "/runs?state=running",
    ready: { full: "[data-row]", empty: "" },
    leads: askOfRuns("Cancel"),
  },
  {
    name: "runs-rerun",
    route: "/runs",
    path: () => "/runs?state=failed",
    ready: { full: "[data-row]", empty: "" },
    leads: askOfRuns("Rerun"),
  },
  {
    name: "run-rerun",
    route: "/runs/$runId",
    path: ({ run }: World) => `/runs/${run}?rerun=failure`,
    ready: { full: "[role=dialog] [data-action]", empty: "" },
    comesInParts: true,
  },
  {
    name: "run-again",
    route: "/runs/$runId",
    path: ({ edited }: World) => `/runs/${edited}?rerun=again`,
    ready: { full: "[role=dialog] form", empty: "" },
    comesInParts: true,
  },
  {
    name: "run-log",
    route: "/runs/$runId",
    path: ({ longLog }: World) => `/runs/${longLog}`,
    ready: { full: "[role=log] [data-line]", empty: "" },
    comesInParts: true,
    // At a desk it stands beside the rest.
    leads: async (page: Page) =>
      (page.viewportSize()?.width ?? 0) < SIZES.wide.width &&
      scrollTo("section:has([role=log])", RUN_TOP_PX)(page),
  },
  {
    name: "backfills",
    route: "/schedules",
    path: () => "/schedules",
    ready: { full: "section:has-text('Backfills') [role=progressbar]", empty: "" },
    leads: scrollTo("section:has(h2:has-text('Backfills'))"),
  },
  {
    name: "notify-new",
    route: "/notify",
    path: () => "/notify",
    ready: { full: "text=finance-pager", empty: "" },
    leads: press("Add a notifier"),
  },
  {
    name: "keys-new",
    route: "/keys",
    path: () => "/keys",
    ready: { full: "text=All keys", empty: "" },
    leads: press("Create a key"),
  },
  {
    name: "palette",
    route: "/runs",
    path: () => "/runs",
    ready: { full: "[data-row]", empty: "" },
    leads: async (page: Page) => {
      await page.keyboard.press("ControlOrMeta+k");
      await page.getByRole("option").first().waitFor();
    },
  },
  {
    name: "key-help",
    route: "/runs",
    path: () => "/runs",
    ready: { full: "[data-row]", empty: "" },
    leads: async (page: Page) => {
      await page.keyboard.press("Shift+?");
      await page.getByRole("dialog").waitFor();
    },
  },
].map((part) => ({ ...part, states: ["full"] }));

/** Every screen of the dashboard. A test compares it with the router. */
export const SCREENS: readonly Screen[] = [
  {
    name: "home",
    route: "/",
    path: () => "/",
    ready: {
      full: "section:has-text('Failing now'):not(:has([data-pending])) [data-row]",
      empty: "text=towpath",
    },
  },
  {
    name: "runs",
    route: "/runs",
    path: () => "/runs",
    ready: { full: "[data-row]", empty: "text=No runs yet" },
  },
  {
    name: "run",
    route: "/runs/$runId",
    path: ({ run }) => `/runs/${run}`,
    ready: { full: "[aria-label='Root cause']", empty: "text=Why is it not running?" },
    comesInParts: true,
  },
  {
    name: "run-graph",
    route: "/runs/$runId",
    path: ({ whole }) => `/runs/${whole}?tasks=graph`,
    ready: { full: ".react-flow__node", empty: "text=Why is it not running?" },
  },
  {
    name: "compare-choice",
    route: "/runs/$runId/compare",
    path: ({ whole }) => `/runs/${whole}/compare`,
    ready: { full: "text=Runs of", empty: "text=Compare with which run?" },
  },
  {
    name: "compare",
    route: "/runs/$runId/compare/$otherId",
    path: ({ whole, other }) => `/runs/${whole}/compare/${other}?show=all`,
    ready: { full: "[aria-label='Task runs of both']", empty: "text=Parameters" },
  },
  {
    name: "wire",
    route: "/runs/$runId/wire",
    path: ({ whole }) => `/runs/${whole}/wire`,
    ready: { full: "text=Stored by the control plane", empty: "text=No data has been sent" },
  },
  {
    name: "waits",
    route: "/waits",
    path: () => "/waits",
    ready: { full: "[data-question]", empty: "text=No open questions" },
  },
  {
    name: "deployments",
    route: "/deployments",
    path: () => "/deployments",
    ready: { full: "[data-row]", empty: "text=towpath" },
  },
  {
    name: "deployment",
    route: "/deployments/$name",
    path: ({ deployment }) => `/deployments/${deployment}`,
    ready: { full: "text=Start a run", empty: "text=Start a run" },
  },
  {
    name: "deployment-versions",
    route: "/deployments/$name",
    path: ({ deployment }) => `/deployments/${deployment}?tab=versions`,
    ready: { full: "text=What changed in the spec", empty: "text=This is the first version" },
  },
  {
    name: "deployment-schedules",
    route: "/deployments/$name",
    path: ({ deployment }) => `/deployments/${deployment}?tab=schedules`,
    ready: { full: "text=Upcoming", empty: "text=towpath schedule set" },
  },
  {
    name: "pools",
    route: "/pools",
    path: () => "/pools",
    ready: { full: "text=etl-1", empty: "text=local" },
  },
  {
    name: "schedules",
    route: "/schedules",
    path: () => "/schedules?schedule=invoices-to-ledger%2Fhalf-hourly",
    ready: { full: "[data-cell]", empty: "text=Nothing is scheduled" },
  },
  {
    name: "limits",
    route: "/limits",
    path: () => "/limits",
    ready: { full: "text=warehouse", empty: "text=No limit is set" },
  },
  {
    name: "notify",
    route: "/notify",
    path: () => "/notify",
    ready: { full: "text=finance-pager", empty: "text=No notifiers yet" },
  },
  {
    name: "keys",
    route: "/keys",
    path: () => "/keys",
    ready: { full: "text=All keys", empty: "text=All keys" },
  },
  {
    name: "states",
    route: "/states",
    path: () => "/states",
    ready: { full: "text=How to read this", empty: "text=How to read this" },
  },
  ...PARTS,
];

/** What a screen is pictured with. */
export function statesOf(screen: Screen): readonly ScreenState[] {
  return screen.states ?? STATES;
}

/** The addresses of a router, as they are written in its source. */
export function routesIn(source: string): string[] {
  return [...source.matchAll(/^ {2}path: "([^"]+)"/gm)].map(([, path = ""]) => path);
}

/** Where the picture of a screen lies below the folder of pictures. */
export function pictureOf(screen: Screen, args: { state: ScreenState | "phone"; theme: string }): string {
  return join("screens", `${screen.name}-${args.state}-${args.theme}.webp`);
}

/** Every picture that there should be: each state at a desk, and all of it on a phone. */
export function allPictures(): string[] {
  return SCREENS.flatMap((screen) =>
    THEMES.flatMap((theme) =>
      [...statesOf(screen), "phone" as const].map((state) => pictureOf(screen, { state, theme })),
    ),
  );
}
