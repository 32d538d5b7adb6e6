/**
 * Takes a picture of every screen in every state, light and dark, with real servers: one with the demo, one empty.
 * Usage: npm run screenshots -- [FOLDER] [--only SCREEN]... [--state FOLDER] [--small]
 * `--state` is the state folder of a control plane that already has the demo. Otherwise one is started, which takes a minute.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { CHROMIUM_ARGUMENTS, findChromium } from "../harness/index.ts";
import { type Camera, shoot } from "./camera.ts";
import { SCREENS, statesOf } from "./screens.ts";
import { findFull, openEmpty, openFull, putLeast } from "./worlds.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", multiple: true, default: [] },
    state: { type: "string" },
    small: { type: "boolean", default: false },
  },
});
const executablePath = findChromium();
if (executablePath === undefined) throw new Error("Pictures of the screens need chromium.");
const screens = SCREENS.filter(({ name }) => values.only.length === 0 || values.only.includes(name));
/** Screens about one thing. An empty workspace has none, so the minimum is created first. */
const ofOneThing = screens.filter(({ route }) => route.includes("$"));

const NOTHING = { run: "", longLog: "", whole: "", other: "", deployment: "", edited: "" };

async function shootFull(camera: Camera): Promise<string[]> {
  await using full =
    values.state === undefined ? await openFull({ small: values.small }) : await findFull(values.state);
  const faults: string[] = [];
  for (const state of ["full", "loading", "error", "no-permission"] as const)
    faults.push(...(await shoot(camera, { place: full, world: full.world, screens, state, size: "wide" })));
  const phone = { place: full, world: full.world, screens, state: "full", size: "phone" } as const;
  return [...faults, ...(await shoot(camera, phone))];
}

async function shootEmpty(camera: Camera): Promise<string[]> {
  if (!screens.some((screen) => statesOf(screen).includes("empty"))) return [];
  await using stack = await openEmpty();
  const others = screens.filter((screen) => !ofOneThing.includes(screen));
  const empty = { place: stack, state: "empty", size: "wide" } as const;
  const faults = await shoot(camera, {
    ...empty,
    world: NOTHING,
    screens: others,
  });
  if (ofOneThing.length === 0) return faults;
  const world = await putLeast(stack);
  return [...faults, ...(await shoot(camera, { ...empty, world, screens: ofOneThing }))];
}

const folder = resolve(positionals[0] ?? "docs/images");
const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_ARGUMENTS] });
const faults = [...(await shootFull({ browser, folder })), ...(await shootEmpty({ browser, folder }))];
await browser.close();
for (const fault of faults) console.error(fault);
console.log(`${screens.length} screens, in ${folder}`);
process.exitCode = faults.length > 0 ? 1 : 0;
