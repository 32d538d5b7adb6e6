import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Client } from "@towpath/client";
import { z } from "zod";
import { EXIT, Failure } from "../failure.ts";
import { readServerFile } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { programArguments } from "../kernel/programs.ts";
import type { StateFolder } from "../kernel/state-folder.ts";

/** What is asked for with `towpath demo seed`. */
export interface SeedOptions {
  readonly seed: number;
  readonly small: boolean;
  /** Whether its workers are played afterwards, until somebody stops us. */
  readonly stay: boolean;
  /** Whether a workspace that is not empty is filled without asking. */
  readonly yes: boolean;
}

const Seeded = z.object({ runs: z.int(), wideRun: z.string(), longLog: z.string() });
const Event = z.union([
  z.object({ told: z.string() }),
  z.object({ seeded: Seeded }),
  z.object({ fault: z.looseObject({ message: z.string() }) }),
]);

/** Only who holds the control plane's own folder, on its machine, may write past its API. */
async function ownFolder(invocation: Invocation): Promise<StateFolder> {
  const { url } = await invocation.connect();
  const folder = await invocation.folder();
  const server = await readServerFile(folder);
  if (server?.url.replace(/\/+$/, "") === url) return folder;
  throw new Failure(`${url} is not the control plane of ${folder.control}.`, {
    exit: "configuration",
    code: "not-ours",
    next: [
      "the demo is written into its database: run this on its machine, where its state folder is",
      "name the folder with --state DIR; `towpath dev` starts a control plane here",
    ],
  });
}

async function workspaceOf(client: Client): Promise<string> {
  const { key, workspace } = await client.getMe();
  if (key.role !== "viewer") return workspace.id;
  throw new Failure(`The key "${key.name}" may only read.`, {
    exit: "notPermitted",
    code: "forbidden",
    next: ["an admin makes one that may run things: `towpath key create NAME --role operator`"],
  });
}

/** What is in a workspace by now, in words; null when there is nothing. */
async function contentOf(client: Client): Promise<string | null> {
  const [deployments, runs] = await Promise.all([
    client.listDeployments({ query: { limit: 200 } }),
    client.listRuns({ query: { limit: 1 } }),
  ]);
  const demo = deployments.items.find(({ name }) => name === "web-events");
  if (demo !== undefined)
    throw new Failure("The demo is already in this workspace.", {
      exit: "invalidInput",
      code: "already-there",
      next: ["begin with a fresh state folder to make it again: `towpath dev --state DIR`"],
    });
  const parts = [
    ...(deployments.items.length > 0 ? [`${deployments.items.length} deployments`] : []),
    ...(runs.items.length > 0 ? ["runs"] : []),
  ];
  return parts.length === 0 ? null : parts.join(" and ");
}

async function mayFill(invocation: Invocation, content: string): Promise<boolean> {
  if (!process.stdin.isTTY || !invocation.output.live)
    throw new Failure(`The workspace has ${content}; the demo would stand among them.`, {
      exit: "usage",
      code: "not-empty",
      next: ["say --yes to fill it all the same", "nothing of the demo can be taken out again"],
    });
  const { confirm } = await import("@clack/prompts");
  const message = `The workspace has ${content}. Fill it with the demo, which cannot be taken out again?`;
  return (await confirm({ message, initialValue: false })) === true;
}

/** Runs the program to its end. @param args.onSeeded called once all is there; the program may stay afterwards. */
async function runProgram(
  invocation: Invocation,
  options: {
    folder: StateFolder;
    args: readonly string[];
    onSeeded: (seeded: z.infer<typeof Seeded>) => void;
  },
): Promise<void> {
  const child = spawn(process.execPath, programArguments("demo", ...options.args), {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...invocation.config.environment, TOWPATH_STATE_DIR: options.folder.control },
  });
  // At a terminal Ctrl-C reaches the child as well; we stay until it has let go.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  process.on("SIGTERM", () => child.kill());
  let isSeeded = false;
  let fault = "it ended without a word";
  for await (const line of createInterface({ input: child.stdout })) {
    const event = Event.parse(JSON.parse(line));
    if ("told" in event) invocation.output.line(`  ${invocation.output.style.green("✓")} ${event.told}`);
    else if ("seeded" in event) {
      isSeeded = true;
      options.onSeeded(event.seeded);
    } else fault = event.fault.message;
  }
  if (isSeeded) return;
  throw new Failure(`The demo was not made: ${fault}`, {
    exit: "internal",
    code: "demo-failed",
    next: ["what was made stays; begin again with a fresh state folder"],
  });
}

/** `towpath demo seed` */
export async function seedDemo(invocation: Invocation, options: SeedOptions): Promise<number> {
  const { output, clock } = invocation;
  const folder = await ownFolder(invocation);
  const client = await invocation.client();
  const workspaceId = await workspaceOf(client);
  const content = await contentOf(client);
  if (content !== null && !options.yes && !(await mayFill(invocation, content))) return EXIT.ok;
  output.line("Filling the workspace with twelve weeks of invented history…");
  const startedMs = clock.nowMs();
  const args = [
    "--workspace",
    workspaceId,
    "--seed",
    String(options.seed),
    ...(options.small ? ["--small"] : []),
    ...(options.stay ? ["--stay"] : []),
  ];
  const onSeeded = (seeded: z.infer<typeof Seeded>) => {
    const tookMs = clock.nowMs() - startedMs;
    output.data({ ...seeded, tookMs });
    output.line(`${seeded.runs.toLocaleString("en")} runs in ${Math.round(tookMs / 1000)} s.`);
    output.next("`towpath open` signs a browser in");
    output.next(`\`towpath open ${seeded.wideRun}\` shows the run of very many tasks`);
    output.next(`\`towpath open ${seeded.longLog}\` shows the very long log`);
    if (options.stay) output.line("Its workers are played until you press Ctrl-C.");
  };
  await runProgram(invocation, { folder, args, onSeeded });
  return EXIT.ok;
}
