import { useTimed, wholeSecond } from "./clock.ts";
import { ago, bothZones, elapsed, localTime, timeOfDay, zoneName } from "./format.ts";

/**
 * An instant as people read it: how long ago, or the time with its zone. Hovering tells it in the reader's zone, in UTC, and in
 * the zone of what it belongs to, such as a schedule's.
 */
export function Instant({
  at,
  absolute = false,
  zone,
}: {
  at: string;
  absolute?: boolean;
  zone?: string | undefined;
}) {
  const text = useTimed((now) => (absolute ? localTime(at) : ago(Date.parse(at) - now)), !absolute);
  return (
    <time dateTime={at} title={bothZones(at, zone)} className="tabular-nums">
      {text}
    </time>
  );
}

/** The time of day of an instant to the millisecond, with the reader's zone. Hovering tells the whole of it, and in UTC. */
export function TimeOfDay({ at }: { at: string }) {
  return (
    <time dateTime={at} title={bothZones(at)} className="tabular-nums">
      {timeOfDay(at)} {zoneName(Date.parse(at))}
    </time>
  );
}

/** How long something has taken so far, growing each second, or took; `none` while it has not begun. */
export function Elapsed({
  startedAt,
  endedAt,
  none = "",
}: {
  startedAt: string | null;
  endedAt: string | null;
  none?: string;
}) {
  const isGoing = startedAt !== null && endedAt === null;
  const text = useTimed((now) => elapsed({ startedAt, endedAt, now: wholeSecond(now) }), isGoing);
  return text || none;
}
