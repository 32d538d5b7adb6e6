import { z } from "zod";
import { Id, ProblemBody } from "../kernel/names.ts";
import { RunEvent, RunStreamQuery } from "./logs.ts";

/** The most runs that one stream follows. */
export const FOLLOWED_MAX = 32;

/** The most runs in one event of changes. */
export const CHANGED_RUNS_MAX = 100;

/** A follower's position in a run: `position:attempt:line`, from its last event. */
const Place = z.string().regex(/^\d{1,15}:\d{1,9}:\d{1,12}$/);

/** A run to follow, from its start or from a position. */
const Followed = z.object({ runId: Id, place: Place.nullable() });

/** The options of a workspace's stream. */
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
      `Runs to follow on the same stream, at most ${FOLLOWED_MAX}, separated by commas: \`ID\` from its start, \`ID@PLACE\` from the position of an earlier event.`,
    ),
});

/** What has changed since the previous event. Readers fetch again what they show. */
export const FeedChanges = z.object({
  kinds: z
    .array(z.string())
    .describe(
      "The kinds of objects: `run`, `wait`, `task`, `artifact`, `deployment`, `schedule`, `limit`, `pool`, …",
    ),
  runs: z.array(Id).describe(`Which runs, at most ${CHANGED_RUNS_MAX}.`),
  more: z.boolean().describe("Whether further runs have changed."),
});
export type FeedChanges = z.infer<typeof FeedChanges>;

/**
 * The events of a workspace's stream (SSE). The `id` of `open` and `changes` resumes the changes by `Last-Event-ID`; the place
 * of a `followed` event resumes its run, together with that id: it says of which database the place is.
 */
export const FeedEvent = z.discriminatedUnion("event", [
  z.object({
    event: z.literal("open"),
    data: z.object({ resumed: z.boolean().describe("False: fetch everything again.") }),
  }),
  z.object({ event: z.literal("news"), data: FeedChanges }),
  z.object({
    event: z.literal("followed"),
    data: z.object({
      runId: Id,
      place: Place.nullable().describe("Null while the run's present state is sent."),
      begins: z.boolean().describe("Whether the run is sent from its start, beginning with this event."),
      told: RunEvent,
    }),
  }),
  z.object({
    event: z.literal("unfollowed"),
    data: ProblemBody.pick({ code: true, detail: true }).extend({ runId: Id }),
  }),
]);
export type FeedEvent = z.infer<typeof FeedEvent>;
