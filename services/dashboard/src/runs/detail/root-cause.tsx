import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import {
  CAUSES,
  type FailureGroup,
  framesOf,
  type LogEntry,
  othersOf,
  placeOf,
  printable,
  type Run,
  type RunFailure,
  type RunState,
  shortId,
} from "@towpath/contract";
import type { ReactNode } from "react";
import { useMe } from "../../identity/me.ts";
import { Bar } from "../../kernel/bar.tsx";
import { client } from "../../kernel/client.ts";
import { Instant } from "../../kernel/instant.tsx";
import { digitsOf, LogRow, lineId } from "../../logs/log-row.tsx";
import { Sentence } from "../links.tsx";
import { StateShape } from "../state-badge.tsx";

/** Frames that are shown below the deepest one. */
const FRAMES_SHOWN = 3;
/** Log lines that are shown. More if the error has no stack trace. */
const LINES_SHOWN = 4;
const LINES_ALONE = 12;
/** Frames wrap on a phone, and scroll on a wide screen. */
const STACK_LINES = "whitespace-pre-wrap [overflow-wrap:anywhere] sm:whitespace-pre";

/** Whether a run ended in a state that has a root cause. */
export function hasCause(state: RunState): boolean {
  return state === "failed" || state === "crashed";
}

/** The cause of a failed run. */
export function useFailure(runId: string, state: RunState) {
  return useQuery({
    enabled: hasCause(state),
    queryKey: ["failure", runId, state],
    queryFn: ({ signal }) => client.getRunFailure({ params: { runId } }, { signal }),
    refetchInterval: false,
  });
}

/** The log line that belongs to a failure. */
export function lineOfFailure(failure: RunFailure | undefined): string | undefined {
  const last = failure?.lines.at(-1);
  return last && lineId(last);
}

/** The text of the log, for errors without a stack trace: a command may have printed one. */
function printed(lines: readonly LogEntry[]): string {
  return lines.map((entry) => (entry.kind === "line" ? printable(entry.text) : "")).join("\n");
}

function FrameText({ text, deepest }: { text: string; deepest: boolean }) {
  const said = placeOf(text);
  if (!deepest || said === null) return text;
  return (
    <>
      at {said.call && <strong className="font-semibold text-ink">{said.call} </strong>}
      <strong className="font-semibold text-bad">{said.place}</strong>
    </>
  );
}

/** Whether an error is the one that was thrown: the first of a stack of JavaScript, and the last of a traceback of Python. */
function isOfWhole(stack: string, head: string): boolean {
  return stack.startsWith(head) || stack.trimEnd().endsWith(head);
}

function Frames({ stack }: { stack: string }) {
  const { head, frames, deepest } = framesOf(stack);
  if (frames.length === 0) return null;
  const from = Math.max(0, deepest);
  const near = frames.slice(from, from + 1 + FRAMES_SHOWN);
  const isMore = frames.length > near.length || othersOf(stack).length > 0;
  return (
    <div className="min-w-0 overflow-x-auto rounded-md border border-line bg-surface px-3 py-2 font-mono text-12 leading-5">
      {isOfWhole(stack, head) || <p className="mb-1 text-soft">Caused by {head}</p>}
      {near.map((frame, index) => {
        const isDeepest = deepest >= 0 && index === 0;
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: frames of a stack never move.
          <div key={index} data-deepest={isDeepest || undefined} className={`${STACK_LINES} text-faint`}>
            <FrameText text={frame.text} deepest={isDeepest} />
            {isDeepest && frame.code !== null && <div className="pl-4 text-soft">{frame.code}</div>}
          </div>
        );
      })}
      {isMore && (
        <details className="text-faint">
          <summary>Full stack trace</summary>
          <pre className={`mt-1 ${STACK_LINES}`}>{stack}</pre>
        </details>
      )}
    </div>
  );
}

function Beside({ runId, lines }: { runId: string; lines: readonly LogEntry[] }) {
  const last = lines.at(-1);
  if (last === undefined) return null;
  return (
    <div className="min-w-0 rounded-md border border-line bg-surface py-1.5 font-mono text-12">
      {lines.map((entry) => (
        <LogRow
          key={lineId(entry)}
          entry={entry}
          look={{ runId, found: "", wraps: true, digits: digitsOf(last.line) }}
          pointed={false}
        />
      ))}
    </div>
  );
}

function Groups({ failure }: { failure: RunFailure }) {
  const { groups, failedCalls } = failure;
  const isSealed = useMe()?.workspace.sealed === true;
  if (failedCalls < 2) return null;
  const most = groups[0]?.calls ?? 1;
  return (
    <div className="max-sm:order-3">
      <h3 className="mb-1 font-medium">
        {failedCalls.toLocaleString("en-US")} calls failed
        {groups.length > 1 && !isSealed && <> with {groups.length} different errors</>}
      </h3>
      {isSealed && (
        <p className="mb-1 text-12 text-soft">
          Similar failures are not grouped, because the control plane cannot compare sealed errors.
        </p>
      )}
      <ol className="space-y-1">
        {groups.map((group) => (
          <GroupRow key={`${group.first.attemptId} ${group.first.path}`} group={group} most={most} />
        ))}
      </ol>
    </div>
  );
}

function GroupRow({ group, most }: { group: FailureGroup; most: number }) {
  const { error } = group.first;
  return (
    <li data-failures={group.calls} className="grid grid-cols-[6ch_48px_minmax(0,1fr)] items-center gap-x-2">
      <span className="text-right font-medium tabular-nums">{group.calls.toLocaleString("en-US")}×</span>
      <Bar className="h-1.5 w-full" look="bad" max={most} value={group.calls} />
      <span
        className="min-w-0 max-sm:line-clamp-6 max-sm:[overflow-wrap:anywhere] sm:truncate"
        title={printable(error?.message ?? "")}
      >
        <span className="font-medium">{group.task}</span>{" "}
        <span className="text-soft">
          {error?.name}: {printable(error?.message ?? "")}
        </span>
      </span>
    </li>
  );
}

function NextStep({ run, failure }: { run: Run; failure: RunFailure }) {
  const { advice, lastCompleted, failingSince } = failure;
  return (
    <div className="border-bad/25 max-sm:order-1 sm:border-t sm:pt-2.5">
      {advice && (
        <p>
          <strong className="font-medium">What to do: </strong>
          <Sentence text={advice} />
        </p>
      )}
      <p className="text-soft">
        {lastCompleted && (
          <>
            Last completed run:{" "}
            <RunLink id={lastCompleted.id}>
              <Instant at={lastCompleted.endedAt} />
            </RunLink>
            .{" "}
          </>
        )}
        {failingSince && (
          <>
            Failing since{" "}
            <RunLink id={failingSince.id}>
              run {shortId(failingSince.id)}, <Instant at={failingSince.createdAt} />
            </RunLink>
            .{" "}
          </>
        )}
        <History lastCompleted={lastCompleted} isFirst={failingSince === null} run={run} />
      </p>
    </div>
  );
}

function RunLink({ id, children }: { id: string; children: ReactNode }) {
  return (
    <Link to="/runs/$runId" params={{ runId: id }} className="text-accent hover:underline">
      {children}
    </Link>
  );
}

function titleOf(run: Run, failure: RunFailure): string {
  return failure.error?.name ?? (run.cause === null ? run.state : run.cause);
}

/**
 * The cause of a failure: the error, the deepest frame in the reader's own code, the log lines around it, and the next
 * step.
 */
export function RootCause({ run, failure }: { run: Run; failure: RunFailure }) {
  const { task, lines } = failure;
  const error = task?.error ?? failure.error;
  const stack = error?.stack ?? printed(lines);
  const hasFrames = framesOf(stack).frames.length > 0;
  const shown = lines.slice(-(error?.stack ? LINES_SHOWN : LINES_ALONE));
  return (
    <section
      aria-label="Root cause"
      className="flex flex-col gap-3 rounded-lg border border-bad bg-bad-soft p-3 sm:p-4"
    >
      <h2 className="flex flex-wrap items-center gap-x-2">
        <StateShape state="failed" />
        <span className="text-bad">{error?.name ?? titleOf(run, failure)}</span>
        {task && (
          <span className="font-normal text-soft">
            in task <strong className="font-medium text-ink">{task.name}</strong>
            {task.tries > 1 && `, try ${task.tries}`}
          </span>
        )}
      </h2>
      <p className="-mt-2 max-h-32 overflow-y-auto text-16 font-medium [overflow-wrap:anywhere] whitespace-pre-wrap">
        {error ? printable(error.message) : run.cause && CAUSES[run.cause]}
      </p>
      <div className={`grid gap-3 max-sm:order-2 ${hasFrames && shown.length > 0 ? "lg:grid-cols-2" : ""}`}>
        {hasFrames && <Frames stack={printable(stack)} />}
        <Beside runId={run.id} lines={shown} />
      </div>
      <Groups failure={failure} />
      <NextStep run={run} failure={failure} />
    </section>
  );
}

/** The history before a failure, and a link to what changed since the last completed run. */
function History(args: { lastCompleted: RunFailure["lastCompleted"]; isFirst: boolean; run: Run }) {
  const { lastCompleted, isFirst, run } = args;
  if (lastCompleted === null) return "No earlier run of this deployment has completed.";
  return (
    <>
      {isFirst && "This is the first failure since then. "}
      {lastCompleted.version === run.version
        ? "The code is the same: "
        : `It ran version ${lastCompleted.version}, this run version ${run.version}: `}
      <Link
        to="/runs/$runId/compare/$otherId"
        params={{ runId: lastCompleted.id, otherId: run.id }}
        className="text-accent hover:underline"
      >
        see what changed
      </Link>
      .
    </>
  );
}
