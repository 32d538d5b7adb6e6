import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Client, createClient } from "@towpath/client";
import { newWorkspaceKey, uuidv7 } from "@towpath/contract";
import { removeWithUs } from "../harness/guard.ts";
import type { Stack } from "../harness/stack.ts";
import type { Arena } from "./arena.ts";
import { quantile } from "./figures.ts";
import { deployFlows, nextAhead, nowMs, TELLING } from "./project.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What a control plane and a worker of their own are made with. */
export interface SideOptions {
  /** Whether the workspace is sealed. @default false */
  readonly isSealed?: boolean;
  /** Whether each attempt has a user of its own. @default false */
  readonly hasUsers?: boolean;
  /** Whether the worker keys the hashes and signs the refs that leave. @default true */
  readonly signs?: boolean;
}

/** A control plane with one worker, to compare with another one that differs in one setting. */
export interface Side extends AsyncDisposable {
  /** Runs the flow that writes when it began. @returns Milliseconds from the call until the start is confirmed, and until the first line. */
  first(): Promise<{ dispatch: number; line: number }>;
  /** Runs so many steps in sequence. @returns Milliseconds for each. */
  step(count: number): Promise<number>;
}

/** Where the worker's sources are changed so that it neither keys hashes nor signs refs: a file, a text, and what replaces it. */
const UNSIGNED = [
  ["attempts/store-access.ts", "{ ...store, ...pickle, hashKeys, ...", "{ ...store, ...pickle, ..."],
  ["attempts/store-access.ts", "new RefSigner(keys, spec)", "new RefSigner([], spec)"],
  [
    "store/sign-refs.ts",
    "checked(ref: Ref, owner: RefOwner): Ref | null {",
    "checked(ref: Ref, owner: RefOwner): Ref | null { if (this.#keys.length === 0) return ref;",
  ],
] as const;

/**
 * Writes the sources of a worker that neither keys hashes nor signs refs. No setting turns this off.
 * @throws Error when the sources no longer have these lines.
 */
export async function layOutUnsigned(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "towpath-unsigned-"));
  removeWithUs(root);
  for (const name of ["worker", "package.json"])
    await cp(join(ROOT, name), join(root, name), { recursive: true });
  for (const name of ["node_modules", "sdk"]) await symlink(join(ROOT, name), join(root, name));
  for (const [file, from, to] of UNSIGNED) {
    const path = join(root, "worker/src", file);
    const text = await readFile(path, "utf8");
    if (!text.includes(from)) throw new Error(`${file} no longer has: ${from}`);
    await writeFile(path, text.replace(from, to));
  }
  return root;
}

async function makeSide(stack: Stack, options: SideOptions, root: string | undefined): Promise<Side> {
  const { isSealed = false, hasUsers = false } = options;
  const key = newWorkspaceKey();
  const env = isSealed ? { TOWPATH_WORKSPACE_KEY: key } : {};
  const keyFile = join(stack.folder, "workspace.key");
  await writeFile(keyFile, `${key}\n`, { mode: 0o600 });
  if (isSealed) {
    const { code, output } = await stack.towpath(["workspace", "seal", "--yes"], { env });
    if (code !== 0) throw new Error(`The workspace cannot be sealed (${code}):\n${output}`);
  }
  await deployFlows(stack, env);
  const worker = await stack.startWorker({
    settings: {
      ...TELLING,
      warm: 2,
      runAs: hasUsers ? "users" : "worker",
      ...(isSealed && { workspaceKeys: [{ file: keyFile }] }),
    },
    ...(root !== undefined && { root }),
  });
  const token = (await readFile(join(stack.folder, "control/admin.key"), "utf8")).trim();
  const client = createClient({
    url: stack.url,
    token,
    ...(isSealed && { sealing: { keys: [key] } }),
  });
  const work = await stack.workFolder();
  const run = (deployment: string, parameters: Record<string, string | number | boolean>) =>
    finish({ stack, client, deployment, parameters });
  return {
    async first() {
      const file = join(work, `first-${nowMs()}`);
      const ahead = nextAhead(worker, "first");
      const beganMs = nowMs();
      const runId = await run("first", { file });
      const line = Number(await readFile(file, "utf8")) - beganMs;
      const { startedAt } = await client.getRun({ params: { runId } });
      await ahead();
      return { dispatch: Date.parse(startedAt ?? "") - beganMs, line };
    },
    async step(count) {
      const file = join(work, `steps-${nowMs()}`);
      await run("steps", { count, durable: false, file });
      const [began = 0, ended = 0] = (await readFile(file, "utf8")).trim().split(" ").map(Number);
      return (ended - began) / count;
    },
    async [Symbol.asyncDispose]() {
      worker.kill("SIGTERM");
      await worker.exited;
      await stack[Symbol.asyncDispose]();
      if (root !== undefined) await rm(root, { recursive: true, force: true });
    },
  };
}

async function finish(args: {
  stack: Stack;
  client: Client;
  deployment: string;
  parameters: Record<string, string | number | boolean>;
}): Promise<string> {
  const { stack, client, deployment, parameters } = args;
  const id = uuidv7(Date.now());
  await client.createRun({ body: { id, deployment, parameters } });
  const run = await stack.waitForRun(id);
  if (run.state !== "completed") throw new Error(`The run is ${run.state}: ${JSON.stringify(run.error)}`);
  return id;
}

/** Starts a side. It is ready for work when its first run has ended. */
export async function openSide(arena: Arena, options: SideOptions): Promise<Side> {
  const root = options.signs === false ? await layOutUnsigned() : undefined;
  const stack = await arena.beside({ walls: options.hasUsers === true });
  return await makeSide(stack, options, root);
}

/** The lower quartiles of one side, milliseconds. */
export type SideFigures = Readonly<Record<"dispatch" | "first line" | "step", number>>;

/** Measures two sides by turns, so that other work on the machine slows both. */
export async function bySides(
  sides: readonly [Side, Side],
  args: { rounds: number; steps: number },
): Promise<readonly [SideFigures, SideFigures]> {
  const [one, other] = [collect(sides[0]), collect(sides[1])];
  // The first runs load what later ones have.
  for (const { side } of [one, other]) for (const _ of [1, 2]) await side.first();
  for (const { side } of [one, other]) await side.step(args.steps);
  for (let round = 0; round < args.rounds; round++) {
    const pair = round % 2 === 0 ? [one, other] : [other, one];
    for (const { take } of pair) await take(args.steps);
  }
  return [one.figures(), other.figures()];
}

/** What other work on the machine slows lies above it. */
const QUARTILE = 0.25;

function collect(side: Side) {
  const [dispatch, line, step]: [number[], number[], number[]] = [[], [], []];
  return {
    side,
    async take(steps: number) {
      const told = await side.first();
      dispatch.push(told.dispatch);
      line.push(told.line);
      step.push(await side.step(steps));
    },
    figures: (): SideFigures => ({
      dispatch: quantile(dispatch, QUARTILE),
      "first line": quantile(line, QUARTILE),
      step: quantile(step, QUARTILE),
    }),
  };
}
