import { isWorking, type RunTimes, workTimeOf } from "@towpath/contract";
import { useTimed, wholeSecond } from "../kernel/clock.ts";
import { duration } from "../kernel/format.ts";

/** Shorter waits are not named, milliseconds. */
const NAMED_WAIT_MS = 1_000;

/** The working time and the waiting time of a run as a text. Empty before its start. */
export function workTimeText(run: RunTimes, now: number): string {
  const times = workTimeOf(run, now);
  if (times === null) return "";
  const work = duration(times.workMs);
  return times.waitMs < NAMED_WAIT_MS ? work : `${work} of work, waited ${duration(times.waitMs)}`;
}

/** The working time of a run, growing each second while it works. The tooltip names the time that it waited. Before the start: `none`. */
export function WorkTime({ run, none = "" }: { run: RunTimes; none?: string }) {
  const isGoing = isWorking(run);
  const text = useTimed((now) => {
    const times = workTimeOf(run, wholeSecond(now));
    return times === null ? "" : duration(times.workMs);
  }, isGoing);
  const waits = run.workedMs !== null;
  const title = useTimed(
    (now) => (waits ? workTimeText(run, wholeSecond(now)) : ""),
    waits && run.endedAt === null,
  );
  if (text === "") return none;
  return title === "" ? text : <span title={title}>{text}</span>;
}
