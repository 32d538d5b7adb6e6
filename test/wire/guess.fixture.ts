import type { Flows } from "../e2e/languages.fixture.ts";

const TYPESCRIPT = `
import { ctx, flow, task } from "towpath";
import { z } from "zod";

const LONG = "the pin of the customer, in a key that is longer than what a path of a call may show, is ";
const look = task({ name: "look" }, async (pin: number) => pin);
const cached = task({ name: "cached", cache: true }, async (pin: number) => ({ pin }));
const keyed = task({ name: "keyed" }, async (pin: number) => [pin]);
const pick = task({ name: "pick", cache: { by: (pin: number) => "pin " + pin } }, async (pin: number) => "pin " + pin);
export const guess = flow({ name: "guess", input: z.object({ read: z.string() }) }, async ({ read }) => {
  const { readFile } = await import("node:fs/promises");
  const pin = Number(await readFile(read, "utf8"));
  await look(pin);
  await cached(pin);
  await pick(pin);
  await keyed.with({ key: LONG + pin })(pin);
  await look.map([pin, pin + 1]);
  await look.map([pin], { key: (one: number) => LONG + one });
  await ctx.keep(LONG + pin, pin);
  const ref = await ctx.save("pin", pin);
  await keyed.with({ key: "by ref" })(ref as never);
  return pin;
});
`;
const PYTHON = `
from pathlib import Path
from towpath import Cache, flow, keep, task

LONG = "the pin of the customer, in a key that is longer than what a path of a call may show, is "

@task
def look(pin: int) -> int:
    return pin

@task(cache=Cache())
def cached(pin: int) -> dict:
    return {"pin": pin}

@task
def keyed(pin: int) -> list:
    return [pin]

@task(map_key=lambda pin: f"{LONG}{pin}")
def mapped(pin: int) -> int:
    return pin

@task(cache=Cache(by=lambda pin: f"pin {pin}"))
def pick(pin: int) -> str:
    return f"pin {pin}"

@flow
def guess(read: str) -> int:
    pin = int(Path(read).read_text())
    look(pin)
    cached(pin)
    pick(pin)
    keyed.with_options(key=f"{LONG}{pin}")(pin)
    list(look.map([pin, pin + 1]))
    list(mapped.map([pin]))
    keep(f"{LONG}{pin}", pin)
    return pin
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { guess } from "./flows/guess.ts";
export default defineConfig({
  project: "guess",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  stages: { typescript: {} },
  deployments: [deployment(guess)],
});
`;
const PYTHON_CONFIG = `
from flows.guess import guess
from towpath.config import deployment, oci_layout, project, stage

config = project(
    "guess",
    pool="local",
    stages={"python": stage()},
    registry=oci_layout(REGISTRY),
    deployments=[deployment(guess)],
)
`;

/** A flow that reads a PIN from a file and uses it in every way in which a hash of it could leave. */
export const GUESSED: Flows = {
  typescript: { "flows/guess.ts": TYPESCRIPT, "towpath.config.ts": CONFIG },
  python: { "flows/guess.py": PYTHON, "towpath_config.py": PYTHON_CONFIG },
};

/** The key of `keyed` and `keep`, without the PIN. */
export const LONG_KEY =
  "the pin of the customer, in a key that is longer than what a path of a call may show, is ";
