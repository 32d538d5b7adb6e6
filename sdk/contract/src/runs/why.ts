import { z } from "zod";
import { Id, Instant } from "../kernel/names.ts";
import { LIMIT_KINDS, LimitName, SlotHolder } from "../limits/limits.ts";
import { RunStateName } from "./runs.ts";

/** What a run may wait for. */
export const WAIT_KINDS = [
  "time",
  "retry",
  "limit",
  "worker",
  "compute",
  "place",
  "pause",
  "back-off",
  "start",
  "stop",
  "contact",
  "event",
  "answer",
  "run",
  "job",
] as const;

/** How a limit looks to something that waits for it. */
export const LimitWait = z.object({
  id: Id,
  kind: z.enum(LIMIT_KINDS),
  name: LimitName,
  slots: z.int(),
  perMs: z.int().nullable(),
  taken: z.int(),
  needs: z.int().describe("Slots that it needs, all at once."),
  task: z.string().nullable().describe("The path of the task run that needs them. Null: the run itself."),
  position: z.int().describe("Place in line, from 1; counted up to 1000."),
  waiting: z.int().describe("How many wait in line; counted up to 1000."),
  lacks: z.boolean().describe("Whether this limit has too few slots free for it just now."),
  keptFor: Id.nullable().describe("The run that its free slots are kept for, having waited for longer."),
  holders: z.array(SlotHolder),
});
export type LimitWait = z.infer<typeof LimitWait>;

/** One thing that a run waits for. */
export const WaitReason = z.object({
  kind: z.enum(WAIT_KINDS),
  text: z.string().describe("A sentence or two: the reason, and what would unblock it."),
  until: Instant.nullable().describe("When time alone unblocks it, or it is tried next."),
  limit: LimitWait.nullable(),
});
export type WaitReason = z.infer<typeof WaitReason>;

/** Why a run does not go on, and what would unblock it. */
export const RunWhy = z.object({
  runId: Id,
  state: RunStateName,
  reasons: z.array(WaitReason).describe("Empty: it goes on undisturbed, or has ended."),
  cycle: z
    .array(Id)
    .describe(
      "Runs that wait for each other, each for the next and the last for the first, with this one among them or waiting for them: none goes until one of them is cancelled, a limit is raised or a worker is added. Empty: there is no such circle.",
    ),
  cycleText: z
    .string()
    .nullable()
    .describe(
      "The circle in words: who waits for what that whom has, and what lets them go. Null: there is no such circle.",
    ),
});
export type RunWhy = z.infer<typeof RunWhy>;
