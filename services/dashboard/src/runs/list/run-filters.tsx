import { useQuery } from "@tanstack/react-query";
import { CAUSE_NAMES, RUN_STATES, type RunState } from "@towpath/contract";
import { useEffect, useRef, useState } from "react";
import { stagesOf } from "../../deployments/staged-name.tsx";
import { useDeployments } from "../../deployments/use-deployments.ts";
import { useMe } from "../../identity/me.ts";
import { client } from "../../kernel/client.ts";
import { Dropdown } from "../../kernel/dropdown.tsx";
import { useKeys } from "../../kernel/keyboard.ts";
import { StateShape } from "../state-badge.tsx";
import { type RunSearch, SEARCH_WORDS, statesOf, without } from "./search.ts";
import { TimeRange } from "./time-range.tsx";
import { ViewBar } from "./view-bar.tsx";

const NAMES_MAX = 200;
/** The pause in typing before a search, milliseconds. */
const TYPED_MS = 250;

type Change = (next: RunSearch) => void;

function StateChoice({ search, onChange }: { search: RunSearch; onChange: Change }) {
  const chosen = statesOf(search);
  const toggle = (state: RunState) => {
    const next = chosen.includes(state) ? chosen.filter((one) => one !== state) : [...chosen, state];
    const rest = without(search, "state");
    onChange(next.length === 0 ? rest : { ...rest, state: next.join(",") });
  };
  return (
    <Dropdown
      label="State"
      summary={
        <>
          {chosen.length === 0 && "Any state"}
          {chosen.slice(0, 3).map((state) => (
            <span key={state} className="flex items-center gap-1">
              <StateShape state={state} /> {state}
            </span>
          ))}
          {chosen.length > 3 && `+${chosen.length - 3}`}
        </>
      }
    >
      {RUN_STATES.map((state) => (
        <label key={state} className="flex h-7 cursor-pointer items-center gap-2 rounded px-2 hover:bg-hover">
          <input
            type="checkbox"
            className="accent-accent"
            checked={chosen.includes(state)}
            onChange={() => toggle(state)}
          />
          <StateShape state={state} /> {state}
        </label>
      ))}
    </Dropdown>
  );
}

function Choice({
  label,
  any,
  value,
  options,
  onChange,
}: {
  label: string;
  any: string;
  value: string | undefined;
  options: readonly string[];
  onChange: (value: string | undefined) => void;
}) {
  const all = value === undefined || options.includes(value) ? options : [value, ...options];
  return (
    <select
      aria-label={label}
      className="field max-w-36"
      value={value ?? ""}
      onChange={(event) => onChange(event.target.value || undefined)}
    >
      <option value="">{any}</option>
      {all.map((option) => (
        <option key={option}>{option}</option>
      ))}
    </select>
  );
}

/** A field that searches after a pause in typing. */
function Typed({
  value,
  onChange,
  ...rest
}: {
  value: string | undefined;
  onChange: (value: string | undefined) => void;
  label: string;
  placeholder: string;
  className: string;
  focusKey?: string;
}) {
  const [text, setText] = useState(value ?? "");
  const field = useRef<HTMLInputElement>(null);
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => setText(value ?? ""), [value]);
  useEffect(() => {
    if (text.trim() === (value ?? "")) return;
    const timer = setTimeout(() => latest.current(text.trim() || undefined), TYPED_MS);
    return () => clearTimeout(timer);
  }, [text, value]);
  useKeys(rest.focusKey === undefined ? {} : { [rest.focusKey]: () => field.current?.focus() });
  return (
    <input
      ref={field}
      type="search"
      aria-label={rest.label}
      placeholder={rest.placeholder}
      value={text}
      onChange={(event) => setText(event.target.value)}
      className={`field ${rest.className}`}
    />
  );
}

/** The filters of the list, which are stored in the address. The names to choose from are read after the list. */
export function RunFilters({
  search,
  onChange,
  isFirst,
}: {
  search: RunSearch;
  onChange: Change;
  isFirst: boolean;
}) {
  const names = { query: { limit: NAMES_MAX } };
  const deployments = useDeployments({ enabled: !isFirst });
  const pools = useQuery({
    enabled: !isFirst,
    queryKey: ["pools"],
    queryFn: ({ signal }) => client.listPools(names, { signal }),
  });
  const set = (word: keyof RunSearch) => (value: string | undefined) =>
    onChange(value === undefined ? without(search, word) : { ...search, [word]: value });
  const nameOf = (one: { name: string }) => one.name;
  const isSealed = useMe()?.workspace.sealed === true;
  const stages = stagesOf(deployments.data?.items ?? []);
  return (
    <div className="mb-3 flex flex-wrap items-center gap-1.5">
      <Typed
        label="Search runs"
        placeholder={isSealed ? "Deployment or id  /" : "Deployment, name or id  /"}
        className="w-full sm:w-52"
        focusKey="/"
        value={search.text}
        onChange={set("text")}
      />
      <StateChoice search={search} onChange={onChange} />
      <Choice
        label="Deployment"
        any="Any deployment"
        value={search.deployment}
        options={deployments.data?.items.map(nameOf) ?? []}
        onChange={set("deployment")}
      />
      {stages.length > 0 && (
        <Choice label="Stage" any="Any stage" value={search.stage} options={stages} onChange={set("stage")} />
      )}
      <Choice
        label="Pool"
        any="Any pool"
        value={search.pool}
        onChange={set("pool")}
        options={pools.data?.items.map(nameOf) ?? []}
      />
      <Choice
        label="Cause"
        any="Any cause"
        value={search.cause}
        options={CAUSE_NAMES}
        onChange={set("cause")}
      />
      <Typed label="Tag" placeholder="Tag" className="w-24" value={search.tag} onChange={set("tag")} />
      <TimeRange search={search} onChange={onChange} />
      {SEARCH_WORDS.some((word) => search[word] !== undefined) && (
        <button type="button" className="chip" onClick={() => onChange({})}>
          Clear
        </button>
      )}
      <ViewBar search={search} onOpen={onChange} />
    </div>
  );
}
