import type { Client } from "@towpath/client";
import {
  closest,
  LIMITS,
  type Limit,
  parseDuration,
  type SetLimit,
  type SlotHolder,
  type SlotWaiter,
  shellWord,
} from "@towpath/contract";
import { deploymentNamed } from "../deployments/find.ts";
import { Failure } from "../failure.ts";
import { formatDuration } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { type Output, printable } from "../output.ts";
import { pathLabel } from "../runs/task-groups.ts";

/** Parses a rate: `100/1m` is 100 tokens, and each returns a minute after it was taken. */
export function rateOf(text: string): { slots: number; perMs: number } {
  const [, tokens = "", per = ""] = /^(\d{1,6})\/(.+)$/.exec(text) ?? [];
  const perMs = parseDuration(/^\d/.test(per) ? per : `1${per}`);
  if (tokens !== "" && perMs !== null && perMs > 0) return { slots: Number(tokens), perMs };
  throw new Failure(`--rate "${text}" is not a rate.`, {
    exit: "usage",
    next: ["write a number per time: 100/1m, 5/s or 1000/24h"],
  });
}

/** A limit's slots, or its tokens per time. */
export function slotsText({ slots, perMs }: { slots: number; perMs: number | null }): string {
  return perMs === null ? `${slots}` : `${slots} per ${formatDuration(perMs)}`;
}

/** The arguments of `towpath limit set`. */
export interface LimitOptions {
  readonly name: string;
  readonly slots: number | undefined;
  readonly rate: string | undefined;
  readonly kind: Limit["kind"];
  readonly collision: Limit["collision"] | undefined;
}

function settingOf({ name, slots, rate, kind, collision }: LimitOptions): SetLimit {
  if ((slots === undefined) === (rate === undefined))
    throw new Failure(
      slots === undefined ? "The number of slots is missing." : "A limit has slots or a rate, not both.",
      {
        exit: "usage",
        next: [`\`towpath limit set ${name} 3\`, or \`towpath limit set ${name} --rate 100/1m\``],
      },
    );
  const amount = rate === undefined ? { slots: slots ?? 0 } : rateOf(rate);
  return { name, kind, ...amount, ...(collision === undefined ? {} : { collision }) };
}

/** `towpath limit set NAME [SLOTS]` */
export async function setLimit(invocation: Invocation, options: LimitOptions): Promise<void> {
  const { output } = invocation;
  const body = settingOf(options);
  const client = await invocation.client();
  const name = body.kind === "deployment" ? await deploymentNamed(client, body.name) : body.name;
  const limit = await client.setLimit({ body: { ...body, name } });
  output.data(limit);
  output.line(
    `${output.style.green("✓")} limit ${output.style.bold(printable(limit.name))} (${limit.kind}): ${slotsText(limit)}`,
  );
  if (limit.kind === "tag") {
    const tag = printable(shellWord(limit.name));
    output.next(
      `a run takes a slot of it with \`towpath run NAME --tag ${tag}\`, a task with \`tags: [${printable(JSON.stringify(limit.name))}]\`; \`towpath limit show ${tag} --kind tag\` shows who holds them`,
    );
  }
  if (limit.kind === "named")
    output.next(
      `a deployment takes a slot of it with \`limits: ["${limit.name}"]\`; \`towpath limit show ${limit.name}\` shows who holds them`,
    );
}

/** `towpath limit ls` */
export async function listLimits(invocation: Invocation): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const page = await client.listLimits({ query: { limit: LIMITS.pageRows } });
  output.data(page);
  if (page.items.length === 0)
    return output.next("no limits yet; `towpath limit set warehouse 3` creates one");
  output.table(
    ["LIMIT", "KIND", "SLOTS", "TAKEN", "WAITING", "FIRST HOLDER", "SET BY"],
    page.items.map((limit) => {
      const [first] = limit.holders;
      const holder = first === undefined ? "" : `${first.runId} ${formatDuration(first.forMs)}`;
      const { name, kind, taken, waiting, source } = limit;
      return [printable(name), kind, slotsText(limit), String(taken), String(waiting), holder, source];
    }),
  );
}

/** Which limit a command names. */
export interface WhichLimit {
  readonly name: string;
  readonly kind: Limit["kind"] | undefined;
}

/** Which limit a person means: `churn@` is the limit of the deployment without a stage, as in other commands. */
function meantLimit({ name, kind }: WhichLimit): WhichLimit {
  const isUnstaged = name.endsWith("@") && (kind ?? "deployment") === "deployment";
  return isUnstaged ? { name: name.slice(0, -1), kind: "deployment" } : { name, kind };
}

/** Finds the limit of this name and, if given, kind. @throws Failure if there is none or more than one. */
export async function findLimit(client: Client, args: WhichLimit): Promise<Limit> {
  const { items } = await client.listLimits({ query: { limit: LIMITS.pageRows } });
  const meant = meantLimit(args);
  const found = items.filter((one) => one.name === meant.name && (meant.kind ?? one.kind) === one.kind);
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return only;
  if (only !== undefined) {
    const kinds = found.map((one) => `--kind ${one.kind}`).join(" or ");
    throw new Failure(`${found.length} limits are called "${args.name}".`, {
      exit: "usage",
      next: [`choose one with ${kinds}`],
    });
  }
  const near = closest(
    args.name,
    items.map((one) => one.name),
  );
  const next = near === null ? "`towpath limit ls` lists them" : `did you mean "${near}"?`;
  throw new Failure(`There is no limit "${args.name}".`, {
    exit: "notFound",
    code: "limit-not-found",
    next: [next],
  });
}

/** `towpath limit show NAME` */
export async function showLimit(invocation: Invocation, which: WhichLimit): Promise<void> {
  const { output } = invocation;
  const { style } = output;
  const client = await invocation.client();
  const limit = await findLimit(client, which);
  output.data(limit);
  const set = limit.source === "code" ? "in its deployment's code" : "by a person";
  output.line(`${style.bold(printable(limit.name))} (${limit.kind}): ${slotsText(limit)}, set ${set}`);
  output.line(`Slots taken: ${limit.taken}, waiting: ${limit.waiting}`);
  drawHolders(output, limit);
  drawWaitList(output, limit);
}

/** The task that holds or wants slots. Empty for a whole run. */
function taskLabel(path: string | null): string {
  return path === null ? "" : pathLabel(path);
}

function drawHolders(output: Output, { holders }: Limit): void {
  if (holders.length === 0) return;
  output.line();
  const row = ({ runId, deployment, task, slots, worker, forMs, usualMs }: SlotHolder) => {
    const usual = usualMs === null ? "" : formatDuration(usualMs);
    return [runId, deployment, taskLabel(task), worker ?? "", String(slots), formatDuration(forMs), usual];
  };
  output.table(["HELD BY", "DEPLOYMENT", "TASK", "WORKER", "SLOTS", "FOR", "USUALLY"], holders.map(row));
}

function drawWaitList(output: Output, { line }: Limit): void {
  if (line.length === 0) return;
  output.line();
  const row = ({ runId, deployment, task, slots, priority }: SlotWaiter) => {
    return [runId, deployment, taskLabel(task), String(slots), String(priority)];
  };
  output.table(["WAITING", "DEPLOYMENT", "TASK", "SLOTS", "PRIORITY"], line.map(row));
}

/** `towpath limit rm NAME` */
export async function deleteLimit(invocation: Invocation, which: WhichLimit): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const limit = await findLimit(client, which);
  await client.deleteLimit({ params: { limitId: limit.id } });
  output.data(limit);
  output.line(
    `${output.style.green("✓")} removed limit ${output.style.bold(printable(limit.name))}; ${limit.waiting} were waiting for it`,
  );
}
