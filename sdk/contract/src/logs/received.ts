import { z } from "zod";
import { Id, Instant } from "../kernel/names.ts";

/** What of a worker's records is kept, by what they tell. */
export const RECEIVED_KINDS = ["task", "kept", "log", "gap", "artifact", "ended"] as const;

/** What the control plane has kept of what a worker reported of a run. Nothing here was computed by the worker. */
export const Received = z.object({
  runId: Id,
  workers: z.array(z.string()).describe("Names of the workers that reported, whose journals have all of it."),
  acknowledged: z
    .object({ control: z.int(), bulk: z.int() })
    .describe("Records of the attempts' latest claims up to which everything was acknowledged."),
  late: z.int().describe("Records that came too late to be applied: counted, and not kept."),
  kinds: z.array(
    z.object({
      kind: z.enum(RECEIVED_KINDS),
      records: z.int().describe("Task calls, values, lines, gaps, artifacts, ends: as they are now."),
      bytes: z.int().describe("What their fields hold, UTF-8."),
      firstAt: Instant.nullable(),
      lastAt: Instant.nullable(),
    }),
  ),
  fields: z.array(
    z.object({
      kind: z.enum(RECEIVED_KINDS),
      field: z.string().describe("As DATA.md names it."),
      records: z.int().nullable().describe("How many have it. Null: not counted."),
      listed: z.boolean().describe("Whether it is one that a worker may send, all of which DATA.md lists."),
    }),
  ),
});
export type Received = z.infer<typeof Received>;
