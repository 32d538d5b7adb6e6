import { z } from "zod";
import { Id, Instant } from "../kernel/names.ts";

/** The kinds of stored data from a worker's records. */
export const RECEIVED_KINDS = ["task", "kept", "log", "gap", "artifact", "ended"] as const;

/** What the control plane has stored from workers' reports about a run. The control plane counts it, not the worker. */
export const Received = z.object({
  runId: Id,
  workers: z
    .array(z.string())
    .describe("The names of the workers that reported. Their journals have all records."),
  acknowledged: z
    .object({ control: z.int(), bulk: z.int() })
    .describe("The acknowledged records of the attempts' latest claims."),
  late: z.int().describe("Records that arrived too late. They are counted, but not stored."),
  kinds: z.array(
    z.object({
      kind: z.enum(RECEIVED_KINDS),
      records: z.int().describe("The number of stored task calls, values, lines, gaps, artifacts or ends."),
      bytes: z.int().describe("The size of their fields, bytes of UTF-8."),
      firstAt: Instant.nullable(),
      lastAt: Instant.nullable(),
    }),
  ),
  fields: z.array(
    z.object({
      kind: z.enum(RECEIVED_KINDS),
      field: z.string().describe("The field's name in DATA.md."),
      records: z.int().nullable().describe("How many records have it. Null: not counted."),
      listed: z.boolean().describe("Whether DATA.md lists it as a field that workers may send."),
    }),
  ),
});
export type Received = z.infer<typeof Received>;
