import { z } from "zod";
import { CodeVersion, Id, Instant, JsonValue } from "../kernel/names.ts";
import { InputHash, Ref, RunError } from "./runs.ts";

/** What an earlier attempt has left under a path, so that a later one goes on from it. Never the value itself. */
export const Checkpoint = z.object({
  path: z.string(),
  kind: z
    .enum(["task", "kept"])
    .describe(
      "How a call of a task ended; or a value that was kept beside them, which without a ref is the instant `at`.",
    ),
  own: z.boolean().describe("Of this run. Else of the one that it is a rerun of."),
  at: Instant,
  codeVersion: CodeVersion.nullable(),
  inputHash: InputHash.nullable(),
  result: Ref.nullable(),
  error: RunError.optional().describe(
    "Of a task's call that failed and is not called again: what it threw. A task's call with neither an error nor a result is called again, whatever was left under its path before.",
  ),
});
export type Checkpoint = z.infer<typeof Checkpoint>;

/** A wait of this run that is over for good: what a call for it would be answered. */
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
    .describe(
      "Waits of this run that are over, so that nobody need ask for each of them. Not all: ask for the rest.",
    ),
  next: z.string().nullable(),
});
export type CheckpointPage = z.infer<typeof CheckpointPage>;

/** The cursor of an earlier page. */
export const CheckpointCursor = z.string().max(512).nullable();

/** The most checkpoints of one page, and the most waits. */
export const checkpointsMax = 2_000;

/** The longest answer that is told beside checkpoints, characters of JSON: a flow asks for longer ones by themselves. */
export const overWaitChars = 2_000;
