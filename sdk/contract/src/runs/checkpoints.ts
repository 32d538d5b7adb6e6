import { z } from "zod";
import { CodeVersion, Id, Instant, JsonValue } from "../kernel/names.ts";
import { InputHash, Ref, RunError } from "./runs.ts";

/** What an earlier attempt left under a path for later attempts. Never the value itself. */
export const Checkpoint = z.object({
  path: z.string(),
  kind: z
    .enum(["task", "kept"])
    .describe(
      "The end of a task call, or a value that the flow kept. A kept value without a ref is the time `at`.",
    ),
  own: z.boolean().describe("True: of this run. False: of the run that it is a rerun of."),
  at: Instant,
  codeVersion: CodeVersion.nullable(),
  inputHash: InputHash.nullable(),
  result: Ref.nullable(),
  error: RunError.optional().describe(
    "The error of a failed task call that is not called again. A task call with neither an error nor a result is called again.",
  ),
});
export type Checkpoint = z.infer<typeof Checkpoint>;

/** A wait of this run that has ended, with its answer. */
export const OverWait = z.object({
  waitId: Id,
  state: z.enum(["satisfied", "expired"]),
  answer: JsonValue,
  answeredBy: z.string().nullable(),
});
export type OverWait = z.infer<typeof OverWait>;

/** A page of checkpoints, oldest first: of two under one path the later counts. `next` is null on the last page. */
export const CheckpointPage = z.object({
  items: z.array(Checkpoint),
  waits: z
    .array(OverWait)
    .optional()
    .describe("Waits of this run that have ended. Not all: ask for the others."),
  next: z.string().nullable(),
});
export type CheckpointPage = z.infer<typeof CheckpointPage>;

/** The cursor of an earlier page. */
export const CheckpointCursor = z.string().max(512).nullable();

/** The most checkpoints of one page, and the most waits. */
export const checkpointsMax = 2_000;

/** The longest answer that is listed with checkpoints, characters of JSON. A flow asks for longer ones separately. */
export const overWaitChars = 2_000;
