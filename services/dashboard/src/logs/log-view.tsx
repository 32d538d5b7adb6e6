import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { LOG_LEVELS, type LogEntry, type LogLevel, shortId, taskLabel } from "@towpath/contract";
import { Download, X } from "lucide-react";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { useMe } from "../identity/me.ts";
import { bothZones, zoneName } from "../kernel/format.ts";
import { useKeys } from "../kernel/keyboard.ts";
import { FormError } from "../kernel/query-result.tsx";
import { canRead } from "../kernel/workspace-keys.ts";
import { LogLines, NewLines } from "./log-lines.tsx";
import { digitsOf, lineId } from "./log-row.tsx";
import { SearchField, useLogSearch } from "./log-search.tsx";
import { type Log, type LogPart, queryOf, useLog, useRowOf } from "./use-log.ts";
import { useScroller } from "./use-scroller.ts";
import { TASK_LINES_MAX, useTaskLog } from "./use-task-log.ts";

/** Most logs have no texts in the customer's store. */
const StoredNotice = lazy(() => import("./stored-notice.tsx"));

function LevelChips({
  log,
  hidden,
  onToggle,
}: {
  log: Log;
  hidden: ReadonlySet<LogLevel>;
  onToggle: (level: LogLevel) => void;
}) {
  const { levels } = log;
  if (levels === null) return null;
  return LOG_LEVELS.filter((level) => levels[level] > 0 || hidden.has(level)).map((level) => (
    <button
      key={level}
      type="button"
      className="chip aria-[pressed=false]:line-through aria-[pressed=false]:opacity-60"
      aria-pressed={!hidden.has(level)}
      title={`${hidden.has(level) ? "Show" : "Hide"} lines of level ${level}`}
      onClick={() => onToggle(level)}
    >
      {level} <span className="tabular-nums">{levels[level].toLocaleString("en-US")}</span>
    </button>
  ));
}

/** Shows or hides a level. Hiding the last visible level shows all. */
function toggled(hidden: ReadonlySet<LogLevel>, level: LogLevel): ReadonlySet<LogLevel> {
  const next = new Set(hidden);
  if (!next.delete(level)) next.add(level);
  return next.size === LOG_LEVELS.length ? new Set() : next;
}

/** The part of a run's log that a screen shows. */
export interface LogShown {
  readonly runId: string;
  readonly attempt: number | undefined;
  /** The length of the log, as the stream reports it. */
  readonly grownTo: string | null;
  readonly live: boolean;
  /** The line to point at, `attempt:line` of the wire: from the address, or the cause of a failed run. */
  readonly line: string | undefined;
  /** Path of the task call whose lines are shown. Undefined: all lines. */
  readonly task: string | undefined;
  /** Called to show all lines again. */
  readonly onWhole: () => void;
}

const NOTHING_SEEN = { first: 0, end: 0 };

/** The log and the reader's position in it. */
function useView(args: LogShown & { part: LogPart; wraps: boolean }) {
  const { part, line, live, task, grownTo } = args;
  const look = JSON.stringify([args.wraps, queryOf(part)]);
  const [seen, setSeen] = useState({ first: 0, end: 0 });
  const whole = useLog({ part, grownTo, seen: task === undefined ? seen : NOTHING_SEEN });
  const ofTask = useTaskLog({ part, task, grownTo });
  const log = task === undefined ? whole : ofTask;
  const follows = task === undefined ? line === undefined : live;
  const scrolling = useScroller({ rows: log.rows, follows, look });
  const { scroller, aimAt } = scrolling;
  const { first, end } = scroller.drawn;
  if (first !== seen.first || end !== seen.end) setSeen({ first, end });
  const [held, setHeld] = useState<string>();
  const firstSeen = () => {
    const entry = log.entryAt(scroller.firstSeen);
    return entry && lineId(entry);
  };
  const search = useLogSearch({ part, live, seen: firstSeen });
  const pointed = search.place ?? line;
  const row = useRowOf(part, task === undefined ? (search.place ?? held ?? line) : undefined);
  useEffect(() => {
    if (row !== null && !scroller.sees(row)) aimAt(row);
  }, [row, scroller, aimAt]);
  const left = useRef(0);
  if (scroller.isFollowing) left.current = log.rows;
  const hold = () => setHeld((before) => (scroller.isFollowing ? undefined : (firstSeen() ?? before)));
  return { log, scrolling, search, pointed, hold, changes: Math.max(0, log.rows - left.current) };
}

/** The log of a run. It follows the end until the reader scrolls up. The key `f` follows again. */
export function LogView(args: LogShown) {
  const { runId, attempt, live, task } = args;
  const field = useRef<HTMLInputElement>(null);
  const [hidden, setHidden] = useState<ReadonlySet<LogLevel>>(new Set());
  const [wraps, setWraps] = useWraps();
  const part = { runId, attempt, hidden };
  const { log, scrolling, search, pointed, hold, changes } = useView({ ...args, part, wraps });
  const isFollowing = scrolling.scroller.isFollowing;
  const follow = () => scrolling.aimAt("end");
  useKeys({ f: follow, w: () => setWraps(!wraps) });
  const last = log.entryAt(log.rows - 1);
  const stored = storedOf(log.entryAt(scrolling.scroller.firstSeen)) ?? storedOf(last);
  const ordinal = attempt === undefined && last !== undefined && last.attempt > 1 ? `${last.attempt}:` : "";
  const digits = digitsOf(last?.line ?? 0) + ordinal.length;
  const toggle = (level: LogLevel) => {
    hold();
    search.onText(search.text);
    setHidden(toggled(hidden, level));
  };
  return (
    <section aria-label="Log" className="flex min-w-0 flex-col rounded-lg border border-line bg-surface">
      <header className="flex min-h-10 flex-wrap items-center gap-1.5 border-b border-line px-3 py-1.5">
        <h2 className="mr-1">Log</h2>
        <LogZone at={log.entryAt(scrolling.scroller.firstSeen)} />
        {live && (
          <span role="status" className="mr-1 text-12 text-faint">
            {isFollowing ? "following" : "paused"}
          </span>
        )}
        <LevelChips log={log} hidden={hidden} onToggle={toggle} />
        {task !== undefined && (
          <button type="button" className="chip min-w-0" title="Show the whole log" onClick={args.onWhole}>
            <span className="truncate">only {taskLabel(task)}</span> <X size={12} />
          </button>
        )}
        <div className="ml-auto flex min-w-0 flex-wrap items-center justify-end gap-1.5">
          {task === undefined && <SearchField search={search} field={field} />}
          <button
            type="button"
            className="chip px-1.5!"
            aria-pressed={wraps}
            data-on={wraps || undefined}
            title={wraps ? "Long lines are wrapped (w)" : "Long lines are not wrapped (w)"}
            onClick={() => setWraps(!wraps)}
          >
            wrap
          </button>
          <LogDownload runId={runId} attempt={attempt} task={task} isStored={stored !== undefined} />
        </div>
      </header>
      {log.failure !== null && (
        <div className="px-3 py-2">
          <FormError failure={log.failure} />
        </div>
      )}
      {stored !== undefined && (
        <Suspense>
          <StoredNotice runId={runId} line={lineId(stored)} stored={stored.stored} />
        </Suspense>
      )}
      {log.isCut && <CutLog runId={runId} task={task ?? ""} />}
      <div className="relative">
        <LogLines
          log={log}
          scrolling={scrolling}
          live={live}
          pointed={pointed}
          look={{
            runId,
            found: search.text,
            wraps,
            digits,
            hasAttempts: attempt === undefined,
          }}
        />
        {live && !isFollowing && <NewLines count={changes} onFollow={follow} />}
      </div>
    </section>
  );
}

/** A line whose text is in the customer's store. */
type StoredLine = Extract<LogEntry, { kind: "line" }> & {
  readonly stored: { readonly hash: string; readonly index: number };
};

function storedOf(entry: LogEntry | undefined): StoredLine | undefined {
  if (entry?.kind !== "line" || entry.stored === undefined) return undefined;
  return { ...entry, stored: entry.stored };
}

/** The time zone of the lines. */
function LogZone({ at: entry }: { at: LogEntry | undefined }) {
  if (entry?.kind !== "line") return null;
  return (
    <span
      className="mr-1 hidden text-12 text-faint sm:inline"
      title={`Times are in this time zone. First visible line:\n${bothZones(entry.at)}`}
    >
      {zoneName(Date.parse(entry.at))}
    </span>
  );
}

/** Says that only the first lines of a task are shown, and where the others are. */
function CutLog({ runId, task }: { runId: string; task: string }) {
  const command = `towpath logs ${shortId(runId)} --task ${/^[\w:./-]+$/.test(task) ? task : `'${task.replaceAll("'", "'\\''")}'`}`;
  return (
    <p
      role="status"
      className="border-b border-line bg-warn-soft px-3 py-1.5 text-12 [overflow-wrap:anywhere]"
    >
      Only the first {TASK_LINES_MAX.toLocaleString("en-US")} lines of this task are shown. Download the file
      or run <code>{command}</code> to see all of them.
    </p>
  );
}

type Downloaded = Pick<LogShown, "runId" | "attempt" | "task">;

/** A button that opens a sealed or stored log in this tab and saves it as a file. Without a key, a link to where one is loaded. */
function SealedDownload({ what, ...part }: Downloaded & { what: string }) {
  const save = useMutation({
    mutationFn: async () => (await import("./download-opened.ts")).downloadOpened(part),
  });
  if (!canRead())
    return (
      <Link
        to="/keys"
        className="chip"
        title="The control plane cannot read this log. Load the workspace key to download it, or run `towpath logs`."
      >
        <Download size={14} /> needs the key
      </Link>
    );
  return (
    <>
      <FormError failure={save.error} />
      <button
        type="button"
        className="chip px-1.5!"
        disabled={save.isPending}
        title={`${what}. This tab opens it.`}
        aria-label={what}
        onClick={() => save.mutate()}
      >
        <Download size={14} />
      </button>
    </>
  );
}

/** A link that downloads the log of a run, an attempt or a task as a file. */
function LogDownload({ runId, attempt, task, isStored }: Downloaded & { isStored: boolean }) {
  const isSealed = useMe()?.workspace.sealed === true || isStored;
  const query = new URLSearchParams({
    ...(attempt !== undefined && { attempt: String(attempt) }),
    ...(task !== undefined && { task }),
  });
  const what = task === undefined ? "Download the whole log" : "Download the lines of this task";
  if (isSealed) return <SealedDownload runId={runId} attempt={attempt} task={task} what={what} />;
  return (
    <a
      className="chip px-1.5!"
      href={`/api/runs/${runId}/logs/file?${query}`}
      download
      title={what}
      aria-label={what}
    >
      <Download size={14} />
    </a>
  );
}

const STORED = "towpath.log-wraps";

/** Whether long log lines wrap in this browser. @default true */
function useWraps(): readonly [boolean, (wraps: boolean) => void] {
  const [wraps, setWraps] = useState(() => localStorage.getItem(STORED) !== "no");
  const keep = (next: boolean) => {
    localStorage.setItem(STORED, next ? "yes" : "no");
    setWraps(next);
  };
  return [wraps, keep];
}
