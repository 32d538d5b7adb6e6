import type { AskedWait, CalledRun } from "@towpath/contract";
import { answerSchemaOf } from "../input/json-schema.ts";
import { faultsOf, type OutputOf, type StandardSchema } from "../input/standard-schema.ts";
import { awaitJob, type JobWaitOptions } from "../jobs/await-job.ts";
import { erasedJob, type Job } from "../jobs/job.ts";
import { InvalidAnswer, InvalidDefinition } from "../problem.ts";
import {
  type Duration,
  deadlineOf,
  msOf,
  type NamedWaitOptions,
  outsideOfTasks,
  placed,
  runEnded,
  waitFor,
} from "./wait-for.ts";

/** What to wait for an event with. */
export interface EventOptions<Schema extends StandardSchema> extends NamedWaitOptions {
  /** Only events that were sent with this key. @default any */
  readonly key?: string;
  /** What the event's payload must satisfy. */
  readonly schema?: Schema;
  /** How long ago an event may have come, at most a day. @default since the run was created */
  readonly lookBack?: Duration;
}

/** A question to people. */
export interface InputOptions<Schema extends StandardSchema> extends NamedWaitOptions {
  /** The question as people see it; also what tells this wait apart from others. */
  readonly title: string;
  /** The answer's schema. Forms are made from it, and answers checked against it, before the flow sees them. */
  readonly schema: Schema;
  /** The least role that may answer. @default "operator" */
  readonly who?: "operator" | "developer" | "admin";
}

/**
 * Lets a run wait without a process, a slot or a worker. Awaiting one of these ends the process once nothing else of the run
 * is at work; when it is over the flow's function runs again from its beginning, completed tasks give the results that they
 * had, and here it goes on. Several may be awaited at once, with `Promise.all` or `Promise.race`.
 *
 * Only the flow's own function may wait so: in a task it is a SuspendInTask.
 */
export interface Suspend {
  /** Waits so long, from the first time that the run comes here. Less than ten seconds pass in this process. */
  for(duration: Duration, options?: { readonly key?: string }): Promise<void>;
  /** Waits until an instant: the one that was given when the run first came here. */
  until(instant: Date, options?: { readonly key?: string }): Promise<void>;
  /**
   * Waits for an event of this name.
   * @returns Its payload.
   * @throws WaitExpired at the deadline; InvalidAnswer if the payload does not satisfy the schema.
   */
  event<Schema extends StandardSchema = StandardSchema>(
    name: string,
    options?: EventOptions<Schema>,
  ): Promise<OutputOf<Schema>>;
  /**
   * Asks people.
   * @returns Their answer.
   * @throws WaitExpired at the deadline.
   * @example const ok = await suspend.input({ title: "Publish?", schema: z.boolean(), deadline: "3d" });
   */
  input<Schema extends StandardSchema>(options: InputOptions<Schema>): Promise<OutputOf<Schema>>;
  /**
   * Has an external job done: submits it, once, and waits for its end.
   * @returns Its result.
   * @throws JobFailed if it failed; JobOutcomeUnknown if nobody can tell whether it was submitted; WaitExpired at the
   * deadline, and the job is cancelled then.
   * @example const model = await suspend.job(sagemaker, { rate: 3 }, { deadline: "6h" });
   */
  job<Input, Handle, Result>(
    job: Job<Input, Handle, Result>,
    input: Input,
    options?: JobWaitOptions,
  ): Promise<Result>;
  /**
   * Waits for the end of a run that already exists, by its id. To start a run and wait for it, call `ctx.runDeployment`.
   * @returns How it ended. A failure of that run is not thrown.
   * @throws WaitExpired at the deadline.
   */
  run(runId: string, options?: NamedWaitOptions): Promise<CalledRun>;
}

async function checked<Schema extends StandardSchema>(
  schema: Schema | undefined,
  args: { readonly what: string; readonly answer: unknown },
): Promise<OutputOf<Schema>> {
  if (schema === undefined) return args.answer;
  const outcome = await schema["~standard"].validate(args.answer);
  if (outcome.issues) throw new InvalidAnswer(args.what, faultsOf("answer", outcome.issues));
  return outcome.value;
}

/** See `Suspend`. */
export const suspend: Suspend = {
  async for(duration, { key } = {}) {
    const ms = msOf("suspend.for", duration);
    await waitFor(outsideOfTasks("suspend.for"), { wait: { kind: "for", ms }, key: key ?? String(ms) });
  },
  async until(instant, { key } = {}) {
    const scope = outsideOfTasks("suspend.until");
    if (!(instant instanceof Date) || Number.isNaN(instant.getTime()))
      throw new InvalidDefinition("suspend.until takes a Date.");
    // Without the instant in its identity: a date that is computed anew in each attempt must not be another wait.
    await waitFor(scope, { wait: { kind: "until", at: instant.toISOString() }, key: key ?? "instant" });
  },
  async event(name, options = {}) {
    const scope = outsideOfTasks("suspend.event");
    const { key, lookBack, schema } = options;
    const wait: AskedWait = {
      kind: "event",
      name,
      ...(key !== undefined && { key }),
      ...deadlineOf(scope, options),
      ...(lookBack !== undefined && { lookBackMs: msOf("lookBack", lookBack) }),
    };
    const named = key === undefined ? name : `${name} ${key}`;
    const { answer } = await waitFor(scope, { wait, key: named, id: options.id });
    return checked(schema, { what: `event "${name}"`, answer });
  },
  async input(options) {
    const scope = outsideOfTasks("suspend.input");
    const { title, schema, id, who = "operator" } = options;
    const { answer } = await placed(scope, { kind: "input", key: title, id }, async ({ until }) => {
      const answerSchema = await answerSchemaOf(schema, `suspend.input "${title}"`);
      const common = { kind: "input", title, schema: answerSchema, who } as const;
      return await until({ ...common, ...deadlineOf(scope, options) });
    });
    return checked(schema, { what: `question "${title}"`, answer });
  },
  async job<Input, Handle, Result>(
    job: Job<Input, Handle, Result>,
    input: Input,
    options: JobWaitOptions = {},
  ): Promise<Result> {
    return ownResult<Result>(await awaitJob(erasedJob(job), input, options));
  },
  run: async (runId, options) => runEnded(outsideOfTasks("suspend.run"), runId, options),
};

/** What this job's own poll has answered as its result. */
function ownResult<Result>(value: unknown): Result {
  return value as Result;
}
