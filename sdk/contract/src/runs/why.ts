import { z } from "zod";
import { LIMITS } from "../kernel/limits.ts";
import { Id, Instant } from "../kernel/names.ts";
import { LIMIT_KINDS, LimitName, SlotHolder } from "../limits/limits.ts";
import { sealableText } from "../sealing/fields.ts";
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
  needs: z.int().describe("The slots that it needs, all at once."),
  task: z.string().nullable().describe("The path of the task run that needs them. Null: the run itself."),
  position: z.int().describe("Position in the wait list, from 1. Counted up to 1000."),
  waiting: z.int().describe("The length of the wait list. Counted up to 1000."),
  lacks: z.boolean().describe("Whether this limit has too few free slots for it now."),
  keptFor: Id.nullable().describe(
    "The run that the free slots are reserved for, because it has waited longer.",
  ),
  holders: z.array(SlotHolder),
});
export type LimitWait = z.infer<typeof LimitWait>;

/** One reason why a run waits. */
export const WaitReason = z.object({
  kind: z.enum(WAIT_KINDS),
  text: z.string().describe("One or two sentences: the reason, and what would unblock the run."),
  until: Instant.nullable().describe("When time alone unblocks it, or when the next try is due."),
  limit: LimitWait.nullable(),
  status: sealableText("job", { max: LIMITS.jobSaysChars })
    .optional()
    .describe("In a sealed workspace, the latest status of the job, which the text cannot have."),
  failure: sealableText("job", { max: LIMITS.messageChars })
    .optional()
    .describe("In a sealed workspace, why polling or cancelling the job fails."),
  title: sealableText("title", { max: 200 })
    .optional()
    .describe("In a sealed workspace, the title of the question."),
});
export type WaitReason = z.infer<typeof WaitReason>;

/** The text of a reason with the sealed parts, which its reader has opened. */
export function reasonText({ text, status, failure, title }: WaitReason): string {
  const parts = [
    title === undefined ? "" : ` The question: "${title}"`,
    status === undefined ? "" : ` Status: ${status}`,
    failure === undefined ? "" : ` The failure: ${failure}`,
  ];
  return `${text}${parts.join("")}`;
}

/** Why a run does not continue, and what would unblock it. */
export const RunWhy = z.object({
  runId: Id,
  state: RunStateName,
  reasons: z.array(WaitReason).describe("Empty: nothing blocks the run, or it has ended."),
  cycle: z
    .array(Id)
    .describe(
      "A deadlock that contains or blocks this run: each run waits for the next, and the last one for the first. It ends when one of the runs is cancelled, a limit is raised or a worker is added. Empty: there is no deadlock.",
    ),
  cycleText: z
    .string()
    .nullable()
    .describe(
      "The deadlock in words: which run waits for what, and how to end the deadlock. Null: there is none.",
    ),
});
export type RunWhy = z.infer<typeof RunWhy>;
