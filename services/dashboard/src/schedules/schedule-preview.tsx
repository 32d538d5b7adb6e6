import { keepPreviousData, skipToken, useQuery } from "@tanstack/react-query";
import { type Fault, Problem, type Schedule, type UpcomingInstant } from "@towpath/contract";
import { useEffect, useState } from "react";
import { client } from "../kernel/client.ts";
import { Instant } from "../kernel/instant.tsx";
import { FormError } from "../kernel/query-result.tsx";
import { type Previewed, previewOf, type ScheduleTexts } from "./schedule-texts.ts";

/** The number of shown times. */
const SHOWN = 5;
/** How long the texts must rest before the times are computed, milliseconds. */
const REST_MS = 250;

/** A value that follows another one after a pause. */
function useRested(text: string): string {
  const [rested, setRested] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setRested(text), REST_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return rested;
}

/** The next times of a form. */
export interface Preview {
  /** Undefined: a field is empty or faulty, or the times have not been computed yet. */
  readonly times: readonly UpcomingInstant[] | undefined;
  /** Their time zone. */
  readonly zone: string;
  /** What is wrong with the timing. */
  readonly faults: readonly Fault[];
  /** Why the times cannot be computed, if no field is at fault. */
  readonly failure: Error | null;
}

/** Computes the next times of a form while its reader types. */
export function usePreview(texts: ScheduleTexts, before: Schedule | null): Preview {
  const text = useRested(JSON.stringify(previewOf(texts, before)));
  const asked: Previewed | null = JSON.parse(text);
  const { data, error } = useQuery({
    queryKey: ["upcoming", "preview", text],
    queryFn:
      asked === null
        ? skipToken
        : ({ signal }) => client.previewSchedule({ body: { ...asked, limit: SHOWN } }, { signal }),
    placeholderData: keepPreviousData,
  });
  const zone = asked === null || asked.timing.kind === "interval" ? "UTC" : (asked.timing.zone ?? "UTC");
  if (asked === null) return { times: undefined, zone, faults: [], failure: null };
  const faults = error instanceof Problem ? error.faults : [];
  const failure = faults.length === 0 ? error : null;
  return { times: error ? undefined : data?.items, zone, faults, failure };
}

/** A day, a time and the short name of the zone: `Mon 23 Nov 2026, 03:00:00 CET`. */
function timeText(at: string, zone: string): string {
  const day = { weekday: "short", day: "numeric", month: "short", year: "numeric" } as const;
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;
  const options = { ...day, ...clock, timeZone: zone, timeZoneName: "short" } as const;
  return new Intl.DateTimeFormat("en-GB", options).format(new Date(at));
}

/** The next times of a form, in the schedule's zone. */
export function NextTimes({ preview: { times, zone, failure } }: { preview: Preview }) {
  return (
    <div
      role="status"
      aria-label="Next times"
      className="min-h-33 rounded-md border border-line bg-hover px-3 py-2 text-12"
    >
      <p className="font-medium">
        Next times {times && <span className="font-normal text-faint">in {zone}</span>}
      </p>
      <FormError failure={failure} />
      {times === undefined && failure === null && (
        <p className="mt-1 text-faint">They appear here when the timing is valid.</p>
      )}
      {times?.length === 0 && <p className="mt-1 text-warn">The schedule has no time in the future.</p>}
      <ol className="mt-1 space-y-0.5">
        {times?.map(({ at }) => (
          <li key={at} className="flex justify-between gap-3 tabular-nums">
            {timeText(at, zone)}
            <span className="text-soft">
              <Instant at={at} zone={zone} />
            </span>
          </li>
        ))}
      </ol>
    </div>
  );
}
