import { type FormEvent, useState } from "react";
import { Button } from "../../kernel/button.tsx";
import { nowMs } from "../../kernel/clock.ts";
import { Dropdown } from "../../kernel/dropdown.tsx";
import { localTime, zoneName } from "../../kernel/format.ts";
import { Labelled } from "../../kernel/labelled.tsx";
import { type RunSearch, SINCE_MS, without } from "./search.ts";

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** An instant as the value of a `datetime-local` field: `2026-11-21T18:50`, in the reader's zone. */
function typedOf(instant: string | undefined): string {
  const date = new Date(instant ?? "");
  // The Swedish format is the one of such fields.
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleString("sv-SE").slice(0, 16).replace(" ", "T");
}

/** The instant of a field. An unchanged field keeps the instant of the address with its seconds. */
function instantOf(typed: string, before: string | undefined): string | undefined {
  if (typed === typedOf(before)) return before;
  return typed === "" ? undefined : new Date(typed).toISOString();
}

function words({ since, from, to }: RunSearch): string {
  if (from !== undefined && to !== undefined) return `${localTime(from)} – ${localTime(to)}`;
  if (from !== undefined) return `Since ${localTime(from)}`;
  if (to !== undefined) return `Until ${localTime(to)}`;
  return since === undefined ? "Any time" : `Last ${since}`;
}

/** The filter for creation times: a period until now, or a range in the reader's zone. */
export function TimeRange({ search, onChange }: { search: RunSearch; onChange: (next: RunSearch) => void }) {
  const rest = without(search, "since", "from", "to");
  const { since, from, to } = search;
  return (
    <Dropdown label="Created" summary={words(search)} align="right">
      <div className="flex w-66 flex-col gap-2 p-1.5">
        <div className="flex gap-1">
          {[undefined, ...Object.keys(SINCE_MS)].map((span) => {
            const isOn = span === since && (span !== undefined || (from ?? to) === undefined);
            return (
              <button
                key={span ?? "any"}
                type="button"
                className="chip flex-1 justify-center"
                aria-pressed={isOn}
                data-on={isOn || undefined}
                onClick={() => onChange(span === undefined ? rest : { ...rest, since: span })}
              >
                {span ?? "Any"}
              </button>
            );
          })}
        </div>
        <Typed
          key={`${from} ${to}`}
          from={from}
          to={to}
          onChange={(stretch) => onChange({ ...rest, ...stretch })}
        />
      </div>
    </Dropdown>
  );
}

/** The fields for a range. */
function Typed({
  from,
  to,
  onChange,
}: {
  from: string | undefined;
  to: string | undefined;
  onChange: (stretch: Pick<RunSearch, "from" | "to">) => void;
}) {
  const [isTurned, setTurned] = useState(false);
  const apply = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const since = instantOf(String(fields.get("from") ?? ""), from);
    const until = instantOf(String(fields.get("to") ?? ""), to);
    const turned = since !== undefined && until !== undefined && since >= until;
    setTurned(turned);
    if (!turned)
      onChange({ ...(since !== undefined && { from: since }), ...(until !== undefined && { to: until }) });
  };
  return (
    <form onSubmit={apply} className="flex flex-col gap-2 border-t border-line pt-2">
      <Labelled name="From">
        <input type="datetime-local" name="from" className="field" defaultValue={typedOf(from)} />
      </Labelled>
      <Labelled name="Until">
        <input type="datetime-local" name="to" className="field" defaultValue={typedOf(to)} />
      </Labelled>
      {isTurned && (
        <p role="alert" className="text-12 text-bad">
          The end is before the start.
        </p>
      )}
      <div className="flex items-center justify-between gap-2 text-12 text-faint">
        <span className="min-w-0 whitespace-normal" title={ZONE}>
          Times in {ZONE}, {zoneName(nowMs())}
        </span>
        <Button type="submit">Show</Button>
      </div>
    </form>
  );
}
