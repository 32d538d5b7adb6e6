import { useTimed, wholeSecond } from "./clock.ts";
import { ago, bothZones, elapsed, localTime, timeOfDay, zoneName } from "./format.ts";

/**
 * An instant: relative to now, or as an absolute time with its zone. The tooltip shows it in the reader's zone, in UTC,
 * and in `zone`.
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

/** The time of day with milliseconds, in the reader's zone. The tooltip adds the date and UTC. */
export function TimeOfDay({ at }: { at: string }) {
  return (
    <time dateTime={at} title={bothZones(at)} className="tabular-nums">
      {timeOfDay(at)} {zoneName(Date.parse(at))}
    </time>
  );
}

/** The duration until the end, or until now, growing each second. Before the start: `none`. */
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
