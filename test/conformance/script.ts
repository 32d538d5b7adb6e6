import { z } from "zod";

/** A value of a script: JSON, in which `{ "$": "name" }` stands for a variable. */
const Value = z.json();

/** Options of a task that both engines have under these names. */
export const Options = z
  .strictObject({
    key: z.string(),
    retries: z.int(),
    checkpoint: z.boolean(),
    cache: z.boolean(),
    durable: z.boolean(),
    limits: z.array(z.string()),
  })
  .partial();

const As = { as: z.string().optional() };
const Drawn = { key: z.string().optional(), ...As };
const Name = { name: z.string() };

const Simple = [
  z.strictObject({
    do: z.literal("call"),
    task: z.string(),
    args: z.array(Value).default([]),
    options: Options.default({}),
    ...As,
  }),
  z.strictObject({
    do: z.literal("map"),
    task: z.string(),
    items: Value,
    more: z.array(Value).default([]),
    keyed: z.boolean().default(false),
    settled: z.boolean().default(false),
    concurrency: z.int().default(1),
    ...As,
  }),
  z.strictObject({ do: z.literal("keep"), ...Name, value: Value }),
  z.strictObject({ do: z.literal("kept"), ...Name, default: Value, ...As }),
  z.strictObject({ do: z.literal("save"), ...Name, value: Value, ...As }),
  z.strictObject({ do: z.literal("load"), ref: Value, ...As }),
  z.strictObject({ do: z.literal("now"), ...Drawn }),
  z.strictObject({ do: z.literal("random"), ...Drawn }),
  z.strictObject({ do: z.literal("uuid"), ...Drawn }),
  z.strictObject({
    do: z.literal("raise"),
    message: z.string(),
    /** Only in so many tries of the call. */
    tries: z.int().default(1000),
    final: z.boolean().default(false),
  }),
  z.strictObject({ do: z.literal("sleep"), ms: z.int().min(60_000), key: z.string().optional() }),
  z.strictObject({ do: z.literal("input"), title: z.string(), id: z.string().optional(), ...As }),
  z.strictObject({ do: z.literal("event"), ...Name, key: z.string().optional(), ...As }),
  z.strictObject({
    do: z.enum(["start", "child"]),
    deployment: z.string(),
    parameters: z.record(z.string(), Value).default({}),
    key: z.string().optional(),
    ...As,
  }),
  z.strictObject({ do: z.literal("artifact"), key: z.string(), text: z.string() }),
  z.strictObject({ do: z.literal("return"), value: Value }),
] as const;

/** One step of a script. */
export type Step =
  | z.infer<(typeof Simple)[number]>
  | { do: "parallel"; branches: Step[][] }
  | { do: "catch"; steps: Step[]; as?: string | undefined }
  | { do: "loop"; times: number; steps: Step[] }
  | {
      do: "flow";
      name: string;
      parameters: Record<string, z.core.util.JSONType>;
      steps: Step[];
      as?: string | undefined;
    };

const StepShape: z.ZodType<Step> = z.lazy(() =>
  z.union([
    ...Simple,
    z.strictObject({ do: z.literal("parallel"), branches: z.array(Steps) }),
    z.strictObject({ do: z.literal("catch"), steps: Steps, ...As }),
    z.strictObject({ do: z.literal("loop"), times: z.int(), steps: Steps }),
    z.strictObject({
      do: z.literal("flow"),
      ...Name,
      parameters: z.record(z.string(), Value).default({}),
      steps: Steps,
      ...As,
    }),
  ]),
);
const Steps = z.array(StepShape);

/** A flow as data, which a driver of each engine plays. Its tasks take any arguments, in the variables `0`, `1`, …. */
export const Script = z.strictObject({
  title: z.string(),
  /** Whether the order of its records is one order alone, so that it may be killed after each of them. */
  isSequential: z.boolean(),
  /** New answers to waits after each suspension, by the wait's name. */
  answers: z.array(z.record(z.string(), Value)).default([]),
  /** How often it is resumed after a failure. */
  resumes: z.int().default(0),
  tasks: z.record(z.string(), z.strictObject({ options: Options.default({}), steps: Steps })),
  flow: Steps,
  /** The outcome of the last attempt. */
  outcome: z.enum(["completed", "failed", "suspended"]),
  /** How often the tasks' functions are called if nothing is killed, by task. */
  executions: z.record(z.string(), z.int()),
});
export type Script = z.infer<typeof Script>;

/** One attempt as both engines tell it: its outcome, and its records without times, addresses and stacks. */
export interface RecordedAttempt {
  readonly outcome: string;
  readonly records: readonly Readonly<Record<string, unknown>>[];
}

/** A script, and after how many records each of its first attempts is killed. */
export interface Play {
  readonly script: Script;
  readonly deaths: readonly number[];
}
