import type { CalledRun } from "@towpath/contract";
import { answerSchemaOf } from "../input/json-schema.ts";
import { faultsOf, type OutputOf, type StandardSchema } from "../input/standard-schema.ts";
import { awaitJob, type JobWaitOptions } from "../jobs/await-job.ts";
import { erasedJob, type Job } from "../jobs/job.ts";
import { InvalidAnswer, InvalidDefinition } from "../problem.ts";
import { payloadSchemaOf } from "./payload-schema.ts";
import {
  type Duration,
  deadlineOf,
  msOf,
  type NamedWaitOptions,
  outsideOfTasks,
  runEnded,
  runWait,
  waitFor,
} from "./wait-for.ts";

/** Options of `suspend.event`. */
export interface EventOptions<Schema extends StandardSchema> extends NamedWaitOptions {
  /** Only events with this key. @default any */
  readonly key?: string;
  /**
   * Schema of the event's payload. The control plane refuses other payloads at their sender, and the wait goes on. A
   * schema that changes its input first, as `z.coerce` does, is checked only in the flow.
   */
  readonly schema?: Schema;
  /** The oldest event to accept, at most a day ago. @default since the run was created */
  readonly lookBack?: Duration;
}

/** A question to people. */
export interface InputOptions<Schema extends StandardSchema> extends NamedWaitOptions {
  /** The question as people see it. It also identifies this wait. */
  readonly title: string;
  /** The answer's schema. The form for the answer is made from it, and answers are validated with it. */
  readonly schema: Schema;
  /** The lowest role that may answer. @default "operator" */
  readonly who?: "operator" | "developer" | "admin";
}

/**
 * Waits of a run without a process, slot or worker. The process ends once nothing else of the run is working. When the
 * wait is over, the flow's function runs again from its beginning: completed tasks return their stored results, and the
 * flow continues here. Use `Promise.all` or `Promise.race` for several waits.
 *
 * Only the flow's own function can wait. In a task this throws SuspendInTask.
 */
export interface Suspend {
  /** Waits for a duration, from the first time that the run gets here. Less than ten seconds pass in this process. */
  for(duration: Duration, options?: { readonly key?: string }): Promise<void>;
  /** Waits until a time: the one that was given when the run first got here. */
  until(instant: Date, options?: { readonly key?: string }): Promise<void>;
  /**
   * Waits for an event of this name.
   * @returns Its payload.
   * @throws WaitExpired at the deadline; InvalidAnswer if the payload does not match a part of the schema that only the
   * flow can check.
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
   * Submits an external job once and waits for its end.
   * @returns Its result.
   * @throws JobFailed if it failed; JobOutcomeUnknown if it is unknown whether it was submitted; WaitExpired at the
   * deadline, which also cancels the job.
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
    // The time is not part of the identity: it may be computed anew in each attempt.
    await waitFor(scope, { wait: { kind: "until", at: instant.toISOString() }, key: key ?? "instant" });
  },
  async event(name, options = {}) {
    const scope = outsideOfTasks("suspend.event");
    const { key, lookBack, schema } = options;
    const wait = {
      kind: "event",
      name,
      ...(key !== undefined && { key }),
      ...deadlineOf(scope, options),
      ...(lookBack !== undefined && { lookBackMs: msOf("lookBack", lookBack) }),
    } as const;
    const named = {
      kind: "event",
      key: key === undefined ? name : `${name} ${key}`,
      id: options.id,
    } as const;
    const { answer } = await runWait(scope, named, async ({ until }) => {
      const payloadSchema = schema && (await payloadSchemaOf(schema));
      return await until(payloadSchema ? { ...wait, schema: payloadSchema } : wait);
    });
    return checked(schema, { what: `event "${name}"`, answer });
  },
  async input(options) {
    const scope = outsideOfTasks("suspend.input");
    const { title, schema, id, who = "operator" } = options;
    const { answer } = await runWait(scope, { kind: "input", key: title, id }, async ({ until }) => {
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

/** Gives a job's result its type. */
function ownResult<Result>(value: unknown): Result {
  return value as Result;
}
