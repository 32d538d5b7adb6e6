import { z } from "zod";
import { Id, ProblemBody } from "../kernel/names.ts";
import { RunEvent, RunStreamQuery } from "./logs.ts";

/** Runs that one stream follows at most. */
export const FOLLOWED_MAX = 32;

/** Runs that one piece of changes names at most. */
export const CHANGED_RUNS_MAX = 100;

/** Where a follower of a run stands: `position:attempt:line`, as its last event said. */
const Place = z.string().regex(/^\d{1,15}:\d{1,9}:\d{1,12}$/);

/** A run to follow, from its beginning or from a place. */
const Followed = z.object({ runId: Id, place: Place.nullable() });

/** What a stream of a workspace is asked for. */
export const FeedQuery = RunStreamQuery.extend({
  runs: z
    .string()
    .max(4_096)
    .default("")
    .transform((text) =>
      (text === "" ? [] : text.split(",")).map((one) => {
        const [runId, place = null] = one.split("@");
        return { runId, place };
      }),
    )
    .pipe(z.array(Followed).max(FOLLOWED_MAX))
    .describe(
      `Runs to follow on the same stream, at most ${FOLLOWED_MAX}, with commas between: \`ID\` from its beginning, \`ID@PLACE\` from where an earlier event of it stood.`,
    ),
});

/** What has changed since the changes before: readers fetch anew what they show. */
export const FeedChanges = z.object({
  kinds: z
    .array(z.string())
    .describe(
      "What sort of things: `run`, `wait`, `task`, `artifact`, `deployment`, `schedule`, `limit`, `pool`, …",
    ),
  runs: z.array(Id).describe(`Which runs, at most ${CHANGED_RUNS_MAX}.`),
  more: z.boolean().describe("Whether other runs than those named have changed too."),
});
export type FeedChanges = z.infer<typeof FeedChanges>;

/**
 * The events of a workspace's stream (SSE). The `id` of `open` and `changes` resumes the changes by `Last-Event-ID`; the place
 * of a `followed` event resumes its run, together with that id: it says of which database the place is.
 */
export const FeedEvent = z.discriminatedUnion("event", [
  z.object({
    event: z.literal("open"),
    data: z.object({ resumed: z.boolean().describe("False: what is shown is to be read anew.") }),
  }),
  z.object({ event: z.literal("news"), data: FeedChanges }),
  z.object({
    event: z.literal("followed"),
    data: z.object({
      runId: Id,
      place: Place.nullable().describe("Null while it is told how the run stands."),
      begins: z.boolean().describe("Whether the run is told from its beginning, from this event on."),
      told: RunEvent,
    }),
  }),
  z.object({
    event: z.literal("unfollowed"),
    data: ProblemBody.pick({ code: true, detail: true }).extend({ runId: Id }),
  }),
]);
export type FeedEvent = z.infer<typeof FeedEvent>;
