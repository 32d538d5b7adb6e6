import { useNow } from "./clock.ts";
import { ago, bothZones, localTime } from "./format.ts";

/** An instant as people read it: how long ago, or the time with its zone. Hovering tells both, local and in UTC. */
export function Instant({ at, absolute = false }: { at: string; absolute?: boolean }) {
  const now = useNow(!absolute);
  return (
    <time dateTime={at} title={bothZones(at)} className="tabular-nums">
      {absolute ? localTime(at) : ago(Date.parse(at) - now)}
    </time>
  );
}
