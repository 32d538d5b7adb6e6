import { join } from "node:path";

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
}

/** Every screen of the dashboard. A test compares it with the router. */
export const SCREENS: readonly Screen[] = [
  {
    ...{ name: "home", route: "/", path: () => "/" },
    ready: {
      full: "section:has-text('Failing now'):not(:has([data-pending])) [data-row]",
      empty: "text=towpath",
    },
  },
  {
    ...{ name: "runs", route: "/runs", path: () => "/runs" },
    ready: { full: "[data-row]", empty: "text=No run yet" },
  },
  {
    ...{ name: "run", route: "/runs/$runId", path: ({ run }) => `/runs/${run}` },
    ready: { full: "[aria-label='Root cause']", empty: "text=Why is it not running?" },
    comesInParts: true,
  },
  {
    ...{ name: "run-graph", route: "/runs/$runId", path: ({ whole }) => `/runs/${whole}?tasks=graph` },
    ready: { full: ".react-flow__node", empty: "text=Why is it not running?" },
  },
  {
    ...{ name: "compare-choice", route: "/runs/$runId/compare" },
    path: ({ whole }) => `/runs/${whole}/compare`,
    ready: { full: "text=Runs of", empty: "text=Compare with which run?" },
  },
  {
    ...{ name: "compare", route: "/runs/$runId/compare/$otherId" },
    path: ({ whole, other }) => `/runs/${whole}/compare/${other}?show=all`,
    ready: { full: "[aria-label='Task runs of both']", empty: "text=Parameters" },
  },
  {
    ...{ name: "wire", route: "/runs/$runId/wire", path: ({ whole }) => `/runs/${whole}/wire` },
    ready: { full: "text=What is kept here", empty: "text=Nothing has been reported" },
  },
  {
    ...{ name: "waits", route: "/waits", path: () => "/waits" },
    ready: { full: "[data-question]", empty: "text=No run asks anything" },
  },
  {
    ...{ name: "deployments", route: "/deployments", path: () => "/deployments" },
    ready: { full: "[data-row]", empty: "text=towpath" },
  },
  {
    ...{ name: "deployment", route: "/deployments/$name" },
    path: ({ deployment }) => `/deployments/${deployment}`,
    ready: { full: "text=Start a run", empty: "text=Start a run" },
  },
  {
    ...{ name: "pools", route: "/pools", path: () => "/pools" },
    ready: { full: "text=etl-1", empty: "text=local" },
  },
  {
    ...{ name: "schedules", route: "/schedules" },
    path: () => "/schedules?schedule=invoices-to-ledger%2Fhalf-hourly",
    ready: { full: "[data-cell]", empty: "text=Nothing is scheduled" },
  },
  {
    ...{ name: "limits", route: "/limits", path: () => "/limits" },
    ready: { full: "text=warehouse", empty: "text=No limit is set" },
  },
  {
    ...{ name: "notify", route: "/notify", path: () => "/notify" },
    ready: { full: "text=finance-pager", empty: "text=Nobody is told yet" },
  },
  {
    ...{ name: "keys", route: "/keys", path: () => "/keys" },
    ready: { full: "text=All keys", empty: "text=All keys" },
  },
  {
    ...{ name: "states", route: "/states", path: () => "/states" },
    ready: { full: "text=How to read this", empty: "text=How to read this" },
  },
];

/** The addresses of a router, as they are written in its source. */
export function routesIn(source: string): string[] {
  return [...source.matchAll(/^ {2}path: "([^"]+)"/gm)].map(([, path = ""]) => path);
}

/** Where the picture of a screen lies below the folder of pictures. */
export function pictureOf(screen: Screen, a: { state: ScreenState | "phone"; theme: string }): string {
  return join("screens", `${screen.name}-${a.state}-${a.theme}.webp`);
}

/** Every picture that there should be: each state at a desk, and all of it on a phone. */
export function allPictures(): string[] {
  return SCREENS.flatMap((screen) =>
    THEMES.flatMap((theme) =>
      [...STATES, "phone" as const].map((state) => pictureOf(screen, { state, theme })),
    ),
  );
}
