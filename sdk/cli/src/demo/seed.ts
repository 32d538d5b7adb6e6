import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Client } from "@towpath/client";
import { z } from "zod";
import { EXIT, Failure } from "../failure.ts";
import { canAsk, confirmed } from "../kernel/confirm.ts";
import { readServerFile } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { programArguments } from "../kernel/programs.ts";
import type { StateFolder } from "../kernel/state-folder.ts";
import { type Carry, type Root, wholeNumber } from "../program.ts";

/** The arguments of `towpath demo seed`. */
export interface SeedOptions {
  readonly seed: number;
  readonly small: boolean;
  /** Whether its workers are simulated afterwards, until Ctrl-C. */
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

/** Only a user with access to the control plane's folder may write to its database. */
async function ownFolder(invocation: Invocation): Promise<StateFolder> {
  const { url } = await invocation.connect();
  const folder = await invocation.folder();
  const server = await readServerFile(folder);
  if (server?.url.replace(/\/+$/, "") === url) return folder;
  throw new Failure(`The control plane at ${url} does not use the state folder ${folder.control}.`, {
    exit: "configuration",
    code: "not-ours",
    next: [
      "the demo is written into the database: run this on the control plane's machine",
      "give its state folder with --state DIR, or start a control plane here with `towpath dev`",
    ],
  });
}

async function workspaceOf(client: Client): Promise<string> {
  const { key, workspace } = await client.getMe();
  if (key.role !== "viewer") return workspace.id;
  throw new Failure(`The key "${key.name}" has no permission to start runs.`, {
    exit: "notPermitted",
    code: "forbidden",
    next: ["an admin creates one that has: `towpath key create NAME --role operator`"],
  });
}

/** What a workspace contains, in words. Null if it is empty. */
async function contentOf(client: Client): Promise<string | null> {
  const [deployments, runs] = await Promise.all([
    client.listDeployments({ query: { limit: 200 } }),
    client.listRuns({ query: { limit: 1 } }),
  ]);
  const demo = deployments.items.find(({ name }) => name === "web-events");
  if (demo !== undefined)
    throw new Failure("This workspace already contains the demo.", {
      exit: "invalidInput",
      code: "already-there",
      next: ["to create it again, start with a new state folder: `towpath dev --state DIR`"],
    });
  const parts = [
    ...(deployments.items.length > 0 ? [`${deployments.items.length} deployments`] : []),
    ...(runs.items.length > 0 ? ["runs"] : []),
  ];
  return parts.length === 0 ? null : parts.join(" and ");
}

async function mayFill(invocation: Invocation, content: string): Promise<boolean> {
  if (!canAsk(invocation))
    throw new Failure(`The workspace already has ${content}.`, {
      exit: "usage",
      code: "not-empty",
      next: ["add --yes to fill it anyway", "the demo cannot be removed again"],
    });
  return await confirmed(
    invocation,
    `The workspace has ${content}. Add the demo? It cannot be removed again.`,
  );
}

/** Runs the program until it ends. @param args.onSeeded Called once all data is written; the program may go on afterwards. */
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
  // At a terminal Ctrl-C also reaches the child. We wait until it has ended.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  process.on("SIGTERM", () => child.kill());
  let isSeeded = false;
  let fault = "the program ended without a message";
  for await (const line of createInterface({ input: child.stdout })) {
    const event = Event.parse(JSON.parse(line));
    if ("told" in event) invocation.output.line(`  ${invocation.output.style.green("✓")} ${event.told}`);
    else if ("seeded" in event) {
      isSeeded = true;
      options.onSeeded(event.seeded);
    } else fault = event.fault.message;
  }
  if (isSeeded) return;
  throw new Failure(`The demo could not be created: ${fault}`, {
    exit: "internal",
    code: "demo-failed",
    next: ["what was written stays; to try again, start with a new state folder"],
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
  await invocation.announce();
  output.line("Filling the workspace with twelve weeks of generated history…");
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
    output.line(`Created ${seeded.runs.toLocaleString("en")} runs in ${Math.round(tookMs / 1000)} s.`);
    output.next("`towpath open` signs a browser in");
    output.next(`\`towpath open ${seeded.wideRun}\` opens the run with the most tasks`);
    output.next(`\`towpath open ${seeded.longLog}\` opens the run with the longest log`);
    if (options.stay) output.line("The demo's workers are simulated until you press Ctrl-C.");
  };
  await runProgram(invocation, { folder, args, onSeeded });
  return EXIT.ok;
}

/** Declares `demo`. */
export function declareDemo(root: Root, carry: Carry): void {
  root
    .command("demo")
    .summary("fill a workspace with demo data")
    .description("Fills a workspace with generated demo data.")
    .command("seed")
    .description(
      "Fills the workspace of the control plane on this machine with twelve weeks of generated history: 14 deployments with schedules and 100,000 runs, in all states. One run has 10,000 tasks, and one has 1,000,000 log lines. The command writes to the database directly, so it needs the control plane's state folder and a key that may start runs. It asks before it fills a workspace that is not empty. It takes some minutes.",
    )
    .option(
      "--seed <number>",
      "choose the random data; the same number gives the same history",
      wholeNumber,
      1,
    )
    .option("--small", "create only twelve days of history, in seconds")
    .option(
      "--stay",
      "then simulate the demo's workers until Ctrl-C: they run new runs and stop cancelled ones",
    )
    .option("-y, --yes", "fill a workspace that is not empty without asking")
    .addHelpText("after", "\nExamples:\n  $ towpath demo seed\n  $ towpath demo seed --small --seed 7")
    .action(({ seed, small, stay, yes }, command) =>
      carry(command, (invocation) =>
        seedDemo(invocation, { seed, small: small === true, stay: stay === true, yes: yes === true }),
      ),
    );
}
