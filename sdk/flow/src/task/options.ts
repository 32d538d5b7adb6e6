import { type ComputeUse, computeOf } from "../compute/compute.ts";
import { InvalidDefinition } from "../problem.ts";
import { type RetryOptions, TIMER_MS_MAX } from "./retry.ts";

/** Slots of a named limit: its name for one slot, or a name and a number. */
export type LimitUse = string | { readonly name: string; readonly slots?: number | undefined };

/** What makes two calls equal: their arguments, the version of their code, or a key made of the arguments. */
export type CacheBy = "input" | "code" | ((...args: never[]) => string);

/** When the result of an earlier call, in any run, is reused. */
export interface CacheOptions {
  /** All of these together. @default ["input", "code"] */
  readonly by?: CacheBy | readonly CacheBy[];
  /** How long a result holds, milliseconds. @default for as long as the store has it */
  readonly expiresMs?: number;
  /** Calls the task although there is a result, and keeps the new one. @default false */
  readonly refresh?: boolean;
}

function isBy(one: unknown): boolean {
  return one === "input" || one === "code" || typeof one === "function";
}

/** @throws InvalidDefinition naming the field. */
export function checkCacheOptions(task: string, cache: unknown): void {
  const refuse = (field: string, wanted: string) => {
    throw new InvalidDefinition(`task "${task}": ${field} must be ${wanted}.`);
  };
  if (cache === undefined || typeof cache === "boolean") return;
  if (typeof cache !== "object" || cache === null) refuse("cache", "true or { by, expiresMs, refresh }");
  const {
    by = "input",
    expiresMs = 1,
    refresh = false,
  }: { [Field in keyof CacheOptions]: unknown } = { ...(cache as object) };
  const all = [by].flat();
  if (all.length === 0 || !all.every(isBy))
    refuse("cache.by", '"input", "code" or a function that returns a key, or several');
  if (!(typeof expiresMs === "number" && expiresMs > 0))
    refuse("cache.expiresMs", "a number of milliseconds, at least 1");
  if (typeof refresh !== "boolean") refuse("cache.refresh", "true or false");
}

/** Options of a task. `.with` overrides them for a call. */
export interface TaskOptions extends RetryOptions {
  /** The task's name in runs: 1 to 200 characters. */
  readonly name: string;
  /**
   * Time limit of one try, in milliseconds. The try's signal aborts then; `ifIgnored` says what happens after
   * `timeoutGraceMs`.
   * @default none
   */
  readonly timeoutMs?: number;
  /**
   * How long a try may take to settle after its time limit, in milliseconds. The next try waits for this long. A try
   * that blocks the whole process for longer is killed together with the process. @default 2000
   */
  readonly timeoutGraceMs?: number;
  /**
   * What happens to a try that has not settled after `timeoutGraceMs`. `"leave"` fails the try; its function may
   * continue beside the next try. `"kill"` fails the run with the cause `timeout` and ends its process, so that a next
   * attempt reuses all completed tasks. A thread is ended either way. @default "leave"
   */
  readonly ifIgnored?: "leave" | "kill";
  /**
   * Stores the result, so that a later attempt reuses it instead of running the task again. The task run shows its ref.
   * By default, a result that cannot be stored is a warning; with `true` it is an error. @default the flow's
   * `checkpoint`
   */
  readonly checkpoint?: boolean;
  /**
   * The version of the task's code, 1 to 64 characters. A stored result is valid while it stays the same. @default a
   * hash of all the code that the task reaches
   */
  readonly version?: string;
  /**
   * Resolves only when the control plane has acknowledged the completion. By default, the worker's journal is enough.
   * For results that must not be made twice even if the worker's machine is lost. @default false
   */
  readonly durable?: boolean;
  /**
   * Runs the function in its own thread, so that a long computation blocks nothing and can be ended: after its time
   * limit, or after the run was cancelled. Declare the task at the top of its module, because the thread imports it.
   * Arguments and result must be data that `structuredClone` can copy. Logs, artifacts, `ctx.save`, `ctx.load`,
   * `ctx.keep`, `ctx.kept` and secrets work in it. A resource is opened for this call only. Tasks and calls to the
   * control plane do not work. @default false
   */
  readonly thread?: boolean;
  /**
   * Reuses the result of an earlier call in any run instead of calling the task. `true` means equal arguments and the
   * same code. Results are stored under `cache/`. @default false
   */
  readonly cache?: boolean | CacheOptions;
  /**
   * Named limits. Each try takes all its slots at once before it begins, and waits for them as long as necessary. A
   * task that holds slots cannot call a task that needs some. Without a worker nothing is limited. @default none
   */
  readonly limits?: readonly LimitUse[];
  /**
   * Tags, at most 32, each of 1 to 64 characters. A limit may apply to a tag: each try then takes one slot of it, together
   * with those of `limits`. A slot that the run or a calling task holds for the same tag counts for this task too. A tag
   * without a limit limits nothing, but each try asks the control plane whether it has one. @default none
   */
  readonly tags?: readonly string[];
  /** Called after a failed try, before the wait for the next one. If it fails, it logs a warning. */
  readonly onRetry?: (
    error: unknown,
    failed: { readonly tries: number; readonly delayMs: number },
  ) => unknown;
  /** Called when a call has finally failed, but not when it was cancelled. If it fails, it logs a warning. */
  readonly onFailure?: (error: unknown, failed: { readonly tries: number }) => unknown;
  /**
   * The pool whose workers run the task as a run of its own. The arguments and the result travel through the store,
   * which those workers must share. Meanwhile the flow needs no process if it waits for nothing else. Declare the task
   * at the top of its module, and write the pool's name where the task is called. Without a worker it runs in this
   * process. @default in place
   */
  readonly pool?: string | undefined;
  /**
   * With `pool`: what the task needs from a worker. It is signed with the code, so set it where the task is declared.
   * @default only a slot
   */
  readonly compute?: ComputeUse;
  /** With `pool`: what happens to the task's run if this run ends first. @default "cancel" */
  readonly onParentEnd?: "cancel" | "abandon";
  /** Identity of the call in its run. @default a hash of the arguments */
  readonly key?: string;
}

const NAME_CHARS_MAX = 200;
const VERSION_CHARS_MAX = 64;
const RETRIES_MAX = 1000;

function check(options: TaskOptions, field: keyof TaskOptions, ok: boolean, wanted: string): void {
  if (!ok) throw new InvalidDefinition(`task "${options.name}": ${field} must be ${wanted}.`);
}

function isBetween(value: unknown, min: number, max: number): boolean {
  return typeof value === "number" && value >= min && value <= max;
}

function isErrorClasses(value: unknown): boolean {
  const classes: unknown[] = Array.isArray(value) ? value : [value];
  return classes.length > 0 && classes.every((one) => typeof one === "function");
}

const WIRE_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const LIMITS_MAX = 8;

function isLimitUse(use: unknown): boolean {
  if (typeof use === "string") return WIRE_NAME.test(use);
  if (typeof use !== "object" || use === null || !("name" in use)) return false;
  const slots = "slots" in use ? use.slots : 1;
  return (
    isLimitUse(use.name) &&
    typeof use.name === "string" &&
    (slots === undefined || Number.isInteger(slots)) &&
    (slots === undefined || Number(slots) >= 1)
  );
}

function areLimitUses(limits: unknown): boolean {
  return Array.isArray(limits) && limits.length <= LIMITS_MAX && limits.every(isLimitUse);
}

const TAGS_MAX = 32;
const TAG_CHARS_MAX = 64;

function areTags(tags: unknown): boolean {
  const isTag = (tag: unknown) => typeof tag === "string" && tag.length >= 1 && tag.length <= TAG_CHARS_MAX;
  return Array.isArray(tags) && tags.length <= TAGS_MAX && tags.every(isTag);
}

function isDelay(delay: unknown): boolean {
  if (typeof delay === "function") return true;
  if (Array.isArray(delay)) return delay.length > 0 && delay.every((one) => isBetween(one, 0, TIMER_MS_MAX));
  return isBetween(delay, 0, TIMER_MS_MAX);
}

/**
 * Checks a task's options.
 * @throws InvalidDefinition naming the field.
 */
export function checkTaskOptions(options: TaskOptions): TaskOptions {
  const { name, retries = 0, retryDelayMs = 0, retryJitter = 0, retryOn, key } = options;
  if (typeof name !== "string" || name.length < 1 || name.length > NAME_CHARS_MAX)
    throw new InvalidDefinition(`A task needs a name of 1 to ${NAME_CHARS_MAX} characters.`);
  const wholeRetries = Number.isInteger(retries) && isBetween(retries, 0, RETRIES_MAX);
  check(options, "retries", wholeRetries, `a whole number from 0 to ${RETRIES_MAX}`);
  const delays = "milliseconds, a list of them that is not empty, or a function that returns them";
  check(options, "retryDelayMs", isDelay(retryDelayMs), delays);
  check(options, "retryJitter", isBetween(retryJitter, 0, 1), "from 0 to 1");
  check(
    options,
    "retryOn",
    retryOn === undefined || isErrorClasses(retryOn),
    "a class of errors, or several",
  );
  const { timeoutMs = 1, timeoutGraceMs = 0, version = "1" } = options;
  const isVersion = typeof version === "string" && version.length >= 1 && version.length <= VERSION_CHARS_MAX;
  check(options, "version", isVersion, `text of 1 to ${VERSION_CHARS_MAX} characters`);
  check(
    options,
    "limits",
    areLimitUses(options.limits ?? []),
    `a list of at most ${LIMITS_MAX} names of limits, or of { name, slots }`,
  );
  const tags = `a list of at most ${TAGS_MAX} texts of 1 to ${TAG_CHARS_MAX} characters`;
  check(options, "tags", areTags(options.tags ?? []), tags);
  check(options, "timeoutMs", isBetween(timeoutMs, 1, TIMER_MS_MAX), "a number of milliseconds, at least 1");
  check(options, "timeoutGraceMs", isBetween(timeoutGraceMs, 0, TIMER_MS_MAX), "milliseconds from 0");
  check(options, "ifIgnored", ["leave", "kill"].includes(options.ifIgnored ?? "leave"), '"leave" or "kill"');
  for (const hook of ["onRetry", "onFailure"] as const)
    check(options, hook, options[hook] === undefined || typeof options[hook] === "function", "a function");
  checkCacheOptions(name, options.cache);
  const { pool, onParentEnd = "cancel" } = options;
  const isPool = pool === undefined || (typeof pool === "string" && WIRE_NAME.test(pool));
  check(options, "pool", isPool, "the name of a pool");
  if (options.compute !== undefined) computeOf(`task "${name}"`, options.compute);
  check(options, "onParentEnd", ["cancel", "abandon"].includes(onParentEnd), '"cancel" or "abandon"');
  const { thread = false } = options;
  check(options, "thread", typeof thread === "boolean", "true or false");
  check(
    options,
    "key",
    key === undefined || (typeof key === "string" && key !== ""),
    "text that is not empty",
  );
  return options;
}
