import type { LogFinds } from "@towpath/contract";
import { ChevronDown } from "lucide-react";
import { type RefObject, useEffect, useState } from "react";
import { useMe } from "../identity/me.ts";
import { useKeys } from "../kernel/keyboard.ts";
import { type LogPart, useFinds } from "./use-log.ts";

/** The pause in typing before the log is searched, milliseconds. */
const TYPING_MS = 150;

/** A position after every line of a log. */
const PAST_END = "999999999:999999999999";

/** The text, and the ordinal of the current match. Null before the first. */
interface Search {
  readonly text: string;
  /** The search lists the matches around this line. */
  readonly from: string;
  readonly at: number | null;
}

const NONE: Search = { text: "", from: "0:0", at: null };

/** The value after it has not changed for a while. */
function useSettled(value: string, ms: number): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return value === "" ? "" : settled;
}

/** A search through a log. */
export interface LogSearch {
  readonly text: string;
  /** The line of the current match. */
  readonly place: string | undefined;
  readonly status: string;
  /** What the search cannot see. */
  readonly note: string | undefined;
  readonly isSearching: boolean;
  readonly onText: (text: string) => void;
  /** Goes to the next or the previous match. */
  readonly go: (by: 1 | -1) => void;
}

/** Why nothing is found in a sealed workspace, and what finds it. */
const SEALED_SEARCH =
  "The control plane cannot search in sealed lines. `towpath logs RUN --grep TEXT` searches on your machine.";

/** The same for lines whose texts stay in the customer's store. */
const STORED_SEARCH =
  "The control plane cannot search in lines that stay in your store. `towpath logs RUN --grep TEXT` searches on your machine.";

function statusOf(
  finds: LogFinds | undefined,
  { at, isSealed }: { at: number | null; isSealed: boolean },
): string {
  if (isSealed) return "sealed lines are not searched";
  if (finds === undefined) return "…";
  if (finds.lines === 0 && finds.stored) return "stored lines are not searched";
  const lines = `${finds.lines.toLocaleString("en-US")}${finds.whole ? "" : "+"}`;
  if (finds.lines === 0)
    return finds.whole ? "none" : `none in ${finds.searched.toLocaleString("en-US")} lines`;
  return at === null
    ? `${lines} ${finds.lines === 1 ? "line" : "lines"}`
    : `${(at + 1).toLocaleString("en-US")} of ${lines}`;
}

/**
 * Searches a log on the server. An answer has the matches around one line; for others, it asks again.
 * @param args.seen the first line in view, where the search begins
 */
export function useLogSearch(args: {
  part: LogPart;
  live: boolean;
  seen: () => string | undefined;
}): LogSearch {
  const [search, setSearch] = useState(NONE);
  const isSealed = useMe()?.workspace.sealed === true;
  const text = useSettled(search.text, TYPING_MS);
  const isTyping = text !== search.text;
  const { data, isFetching } = useFinds(args.part, {
    text,
    from: search.from,
    live: args.live,
    // Nothing would be found, and the text may be a secret.
    isOn: text !== "" && !isTyping && !isSealed,
  });
  const finds = text === "" ? undefined : data;
  const placeOf = (at: number | null) => (at === null || !finds ? undefined : finds.finds[at - finds.first]);
  const go = (by: 1 | -1) => {
    if (!finds || finds.lines === 0) return;
    const next = search.at === null ? (by === 1 ? finds.at : finds.at - 1) : search.at + by;
    const at = (next + finds.lines) % finds.lines;
    const edge = at === 0 ? "0:0" : at === finds.lines - 1 ? PAST_END : placeOf(search.at);
    setSearch({ ...search, at, from: placeOf(at) === undefined ? (edge ?? search.from) : search.from });
  };
  return {
    text: search.text,
    place: placeOf(search.at),
    status: statusOf(finds, { at: search.at, isSealed }),
    note: isSealed ? SEALED_SEARCH : finds?.stored ? STORED_SEARCH : undefined,
    isSearching: isFetching || isTyping,
    onText: (next) => setSearch(next === "" ? NONE : { text: next, from: args.seen() ?? "0:0", at: null }),
    go,
  };
}

/** The search field: Enter goes to the next match, Shift+Enter to the previous one, Escape leaves it. */
export function SearchField({
  search,
  field,
}: {
  search: LogSearch;
  field: RefObject<HTMLInputElement | null>;
}) {
  useKeys({ "/": () => field.current?.focus(), n: () => search.go(1), N: () => search.go(-1) });
  return (
    <div className="flex min-w-0 items-center gap-1">
      {search.text !== "" && (
        <>
          <span
            role="status"
            aria-label="Matches"
            title={search.note}
            data-searching={search.isSearching || undefined}
            className="text-12 whitespace-nowrap text-faint tabular-nums data-searching:opacity-60"
          >
            {search.status}
          </span>
          <button
            type="button"
            className="chip px-1!"
            aria-label="Previous match"
            title="Previous match (N)"
            onClick={() => search.go(-1)}
          >
            <span className="rotate-180">
              <ChevronDown size={12} />
            </span>
          </button>
          <button
            type="button"
            className="chip px-1!"
            aria-label="Next match"
            title="Next match (n)"
            onClick={() => search.go(1)}
          >
            <ChevronDown size={12} />
          </button>
        </>
      )}
      <input
        ref={field}
        type="search"
        aria-label="Search the log"
        placeholder="Search  /"
        maxLength={200}
        title={search.note}
        className="field h-6! w-40"
        value={search.text}
        onChange={(event) => search.onText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") search.go(event.shiftKey ? -1 : 1);
          if (event.key !== "Escape") return;
          search.onText("");
          event.currentTarget.blur();
        }}
      />
    </div>
  );
}
