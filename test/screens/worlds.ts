import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Client, createClient } from "@towpath/client";
import { type Stack, startProcess, startStack, type TestProcess } from "../harness/index.ts";
import type { World } from "./screens.ts";

const CLI = new URL("../../sdk/cli/src/main.ts", import.meta.url).pathname;
/** How long the demo may take to start, milliseconds. */
const SEED_MS = 15 * 60_000;

const FLOW = `
import { flow } from "towpath";
export const hello = flow({ name: "hello" }, async () => "hello");
`;

const CONFIG = `
import { defineConfig, deployment, ociLayout } from "towpath/config";
import { hello } from "./flow.ts";
export default defineConfig({
  project: "hello",
  pool: "local",
  registry: ociLayout(REGISTRY, { name: "local" }),
  deployments: [deployment(hello)],
});
`;

/** A control plane with its client. */
export interface Place {
  readonly url: string;
  readonly client: Client;
}

/** The demo, with simulated workers. */
export interface Full extends Place, AsyncDisposable {
  readonly world: World;
}

/** Starts a workspace with the demo and its simulated workers. */
export async function openFull(options: { small: boolean }): Promise<Full> {
  const stack = await startStack({ database: "embedded" });
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  const more = options.small ? ["--small"] : [];
  const connection = ["--state", stack.folder, "--url", stack.url, "--key", token];
  const demo = startProcess({
    command: process.execPath,
    args: [CLI, "demo", "seed", "--stay", ...more, ...connection],
    env: process.env,
  });
  await demo.waitFor(/workers are simulated/, SEED_MS);
  return { ...stack, world: await worldOf(stack.client), [Symbol.asyncDispose]: () => close(stack, demo) };
}

/** A control plane that already has the demo. */
export async function findFull(folder: string): Promise<Full> {
  const server: { url: string } = JSON.parse(await readFile(join(folder, "control/server.json"), "utf8"));
  const token = (await readFile(join(folder, "control/admin.key"), "utf8")).trim();
  const client = createClient({ url: server.url, token });
  return {
    url: server.url,
    client,
    world: await worldOf(client),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function close(stack: Stack, demo: TestProcess): Promise<void> {
  demo.kill("SIGTERM");
  await demo.exited;
  await stack[Symbol.asyncDispose]();
}

/** The runs of the demo that screens show. */
async function worldOf(client: Client): Promise<World> {
  const newest = async (deployment: string, state: string) => {
    const { items } = await client.listRuns({ query: { deployment, state, limit: 1 } });
    return items[0]?.id ?? "";
  };
  const run = await newest("index-catalogue", "failed");
  const longLog = await newest("replay-clickstream", "completed");
  const whole = await newest("warehouse-nightly", "completed");
  const { items } = await client.listRuns({
    query: { deployment: "warehouse-nightly", state: "completed", limit: 2 },
  });
  const deployment = "train-ranker";
  const edited = await newest(deployment, "completed");
  return { run, longLog, whole, other: items[1]?.id ?? whole, deployment, edited };
}

/** An empty workspace. */
export function openEmpty(): Promise<Stack> {
  return startStack({ database: "embedded" });
}

/** Creates one deployment with two runs that no worker claims: the minimum for their screens. */
export async function putLeast(stack: Stack): Promise<World> {
  const home = await stack.project({
    "flow.ts": FLOW,
    "towpath.config.ts": CONFIG.replace("REGISTRY", JSON.stringify(join(stack.folder, "registry"))),
  });
  const deployed = await stack.towpath(["deploy", "--project", home]);
  if (deployed.code !== 0) throw new Error(`deploy failed (${deployed.code}):\n${deployed.output}`);
  const [run, other] = [await stack.run("hello"), await stack.run("hello")];
  return { run, longLog: run, whole: run, other, deployment: "hello", edited: run };
}
