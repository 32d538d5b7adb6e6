import { join } from "node:path";
import type { Page } from "playwright-core";

/** The states of a screen: with the demo, empty, loading, with an error, without permission. */
export const STATES = ["full", "empty", "loading", "error", "no-permission"] as const;

export type ScreenState = (typeof STATES)[number];

/** The colour themes. */
export const THEMES = ["light", "dark"] as const;

/** The windows of a desktop and of a phone. */
export const SIZES = { wide: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } } as const;

/** The things of a workspace that screens show. */
export interface World {
  /** A failed run with very many tasks. */
  readonly run: string;
  /** A run with a very long log. */
  readonly longLog: string;
  /** A run with many tasks and a log, and another run of the same deployment. */
  readonly whole: string;
  readonly other: string;
  readonly deployment: string;
  /** A run of `deployment`, with parameters. */
  readonly edited: string;
}

/** One screen, or a part of it. */
export interface Screen {
  readonly name: string;
  /** The address as the router has it. */
  readonly route: string;
  readonly path: (world: World) => string;
  /** A selector for its content, with the demo and in an empty workspace. */
  readonly ready: { readonly full: string; readonly empty: string };
  /** Whether its main content needs a request. @default true */
  readonly asks?: boolean;
  /** Whether its content arrives in parts, like the calls of a run. @default false */
  readonly comesInParts?: boolean;
  /** Moves to the part that is pictured. */
  readonly leads?: (page: Page) => Promise<unknown>;
  /** The states to picture. A part with pictures of its own needs only the full state. @default every state */
  readonly states?: readonly ScreenState[];
}

const press = (name: string) => (page: Page) => page.getByRole("button", { name, exact: true }).click();

/** Selects the first runs of the list, and opens a dialog for them. */
const askOfRuns = (verb: string) => async (page: Page) => {
  for (const index of [1, 2, 3]) await page.getByRole("checkbox").nth(index).check();
  await press(`${verb} 3 runs`)(page);
  await page.getByRole("dialog").waitFor();
};

/** The height of what stays at the top on a phone, in general and on a run's page. */
const PHONE_TOP_PX = 64;
const RUN_TOP_PX = 150;

/** Scrolls an element below what stays at the top. */
const scrollTo =
  (selector: string, topPx = PHONE_TOP_PX) =>
  async (page: Page) => {
    const top = (await page.locator(selector).first().boundingBox())?.y ?? 0;
    await page.evaluate(`window.scrollBy(0, ${top - topPx})`);
  };

/** Parts of screens, dialogs and menus. They have pictures only of the full state. */
const PARTS: readonly Screen[] = [
  {
    name: "home-below",
    route: "/",
    path: () => "/",
    ready: { full: "section:has-text('Waiting runs') [data-row]", empty: "" },
    leads: scrollTo("section:has(h2:has-text('Waiting runs'))"),
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
    // On a desktop it is beside the rest.
    leads: async (page: Page) =>
      (page.viewportSize()?.width ?? 0) < SIZES.wide.width &&
      scrollTo("section:has([role=log])", RUN_TOP_PX)(page),
  },
  {
    name: "run-artifacts",
    route: "/runs/$runId",
    path: ({ longLog }: World) => `/runs/${longLog}`,
    ready: { full: "section:has(h2:has-text('Traffic')) img", empty: "" },
    comesInParts: true,
    leads: scrollTo("section:has(h2:has-text('Progress'))", RUN_TOP_PX),
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
    name: "palette-confirm",
    route: "/runs",
    path: () => "/runs",
    ready: { full: "[data-row]", empty: "" },
    leads: async (page: Page) => {
      await page.keyboard.press("ControlOrMeta+k");
      await page.getByRole("combobox", { name: "Go to" }).fill("pause schedule");
      await page
        .getByRole("option", { name: /^Pause schedule/ })
        .first()
        .click();
      await page.getByRole("button", { name: "Pause the schedule" }).waitFor();
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

/** Every screen of the dashboard. A test compares the list with the router. */
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
    comesInParts: true,
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

/** The states of which a screen has pictures. */
export function statesOf(screen: Screen): readonly ScreenState[] {
  return screen.states ?? STATES;
}

/** The addresses in the source of a router. */
export function routesIn(source: string): string[] {
  return [...source.matchAll(/^ {2}path: "([^"]+)"/gm)].map(([, path = ""]) => path);
}

/** The path of a picture below the folder of pictures. */
export function pictureOf(screen: Screen, args: { state: ScreenState | "phone"; theme: string }): string {
  return join("screens", `${screen.name}-${args.state}-${args.theme}.webp`);
}

/** All expected pictures: each state on a desktop, and the full state on a phone. */
export function allPictures(): string[] {
  return SCREENS.flatMap((screen) =>
    THEMES.flatMap((theme) =>
      [...statesOf(screen), "phone" as const].map((state) => pictureOf(screen, { state, theme })),
    ),
  );
}
