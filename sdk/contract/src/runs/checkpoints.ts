import { z } from "zod";
import { CodeVersion, Instant } from "../kernel/names.ts";
import { InputHash, Ref } from "./runs.ts";

/** What an earlier attempt has left under a path, so that a later one goes on from it. Never the value itself. */
export const Checkpoint = z.object({
  path: z.string(),
  kind: z
    .enum(["task", "kept"])
    .describe(
      "The result of a task; or a value that was kept beside them, which without a ref is the instant `at`.",
    ),
  own: z.boolean().describe("Of this run. Else of the one that it is a rerun of."),
  at: Instant,
  codeVersion: CodeVersion.nullable(),
  inputHash: InputHash.nullable(),
  result: Ref.nullable(),
});
export type Checkpoint = z.infer<typeof Checkpoint>;

/** A page of checkpoints, oldest first: of two under one path the later counts. `next` is null on the last page. */
export const CheckpointPage = z.object({ items: z.array(Checkpoint), next: z.string().nullable() });
export type CheckpointPage = z.infer<typeof CheckpointPage>;

/** The cursor of an earlier page. */
export const CheckpointCursor = z.string().max(512).nullable();

/** The most checkpoints of one page. */
export const checkpointsMax = 2_000;
