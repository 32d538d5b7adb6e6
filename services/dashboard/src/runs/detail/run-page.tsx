import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type FoldedTask, tasksOfAttempt, tasksOfRun } from "@towpath/client/attempt-tasks";
import { isFinalRunState, type Run, type RunFailure, shortId } from "@towpath/contract";
import { memo, useCallback, useMemo, useState } from "react";
import { client } from "../../kernel/client.ts";
import { Panel } from "../../kernel/panel.tsx";
import { Failure, QueryResult, type QueryState, Skeleton } from "../../kernel/query-result.tsx";
import { useRecent } from "../../kernel/recent.ts";
import { markOf, useTab } from "../../kernel/tab.ts";
import { Troubles } from "../../kernel/troubles.tsx";
import { Artifacts } from "../../logs/artifacts.tsx";
import { LogView } from "../../logs/log-view.tsx";
import { wireLineOf } from "../list/search.ts";
import { TasksPanel } from "../tasks/tasks-panel.tsx";
import { NONE, pausesOf } from "../tasks/time-scale.ts";
import type { Span } from "../tasks/waterfall-rows.ts";
import { Children } from "../waits/children.tsx";
import { Answers, Questions } from "../waits/questions.tsx";
import { WhyPanel } from "../waits/why-panel.tsx";
import { hasCause, lineOfFailure, RootCause, useFailure } from "./root-cause.tsx";
import { RunDetail } from "./run-detail.tsx";
import { RunHeader } from "./run-header.tsx";
import { type RunStream, useRunStream } from "./use-run-stream.ts";

/** Parts that are drawn again only when their own data changes, not with each task event. */
const Still = {
  Header: memo(RunHeader),
  Questions: memo(Questions),
  Answers: memo(Answers),
  Why: memo(WhyPanel),
  Children: memo(Children),
  Artifacts: memo(Artifacts),
  Detail: memo(RunDetail),
  Log: memo(LogView),
};

/** Data that the stream does not send: parameters, the error, attempts. Read again when the state changes. */
function useRunDetail(runId: string, state: Run["state"] | undefined) {
  return useQuery({
    queryKey: ["run", runId, state],
    queryFn: ({ signal }) => client.getRun({ params: { runId } }, { signal }),
    placeholderData: (before) => (before?.id === runId ? before : undefined),
  });
}

/** The task calls that are shown, and the times between their attempts. */
interface ShownTasks {
  readonly tasks: readonly FoldedTask[];
  readonly pauses: readonly Span[];
}

/** The task calls of the whole run, or of one attempt with the results that it reused. */
function useTasks(
  stream: RunStream,
  args: { attempts: Run["attemptList"] | undefined; ordinal: number | null },
) {
  const { attempts, ordinal } = args;
  return useMemo((): ShownTasks => {
    const all = [...stream.tasks.values()];
    if (attempts === undefined) return { tasks: all, pauses: NONE };
    if (ordinal === null) return { tasks: tasksOfRun(all, attempts), pauses: pausesOf(all, attempts) };
    return {
      tasks: tasksOfAttempt(
        all,
        attempts.filter((one) => one.ordinal <= ordinal),
      ),
      pauses: NONE,
    };
  }, [stream.tasks, attempts, ordinal]);
}

/** The attempt, the task and the question in the address. Without an attempt, the whole run is shown: the ordinal is null. */
function useAttempt() {
  const { line, attempt, task, question, choice } = useSearch({ from: "/runs/$runId" });
  const navigate = useNavigate({ from: "/runs/$runId" });
  const choose = useCallback(
    (chosen: number | null) =>
      void navigate({
        search: ({ tasks, critical }) => ({
          tasks,
          critical,
          attempt: chosen ?? undefined,
        }),
        replace: true,
      }),
    [navigate],
  );
  const showWhole = useCallback(
    () =>
      void navigate({
        search: (before) => ({ ...before, task: undefined }),
        replace: true,
        resetScroll: false,
      }),
    [navigate],
  );
  return {
    line: line && wireLineOf(line),
    task,
    question,
    choice,
    ordinal: attempt ?? null,
    choose,
    showWhole,
  };
}

/** The loading state or the error of a query. */
function Awaited({ title, query, rows }: { title: string; query: QueryState<unknown>; rows: number }) {
  return (
    <Panel title={title} flush>
      <QueryResult query={query} rows={rows}>
        {() => null}
      </QueryResult>
    </Panel>
  );
}

/** The root cause of a failed run. It needs both queries. */
function Cause({ detail, failure }: { detail: QueryState<Run>; failure: QueryState<RunFailure> }) {
  if (detail.data && failure.data) return <RootCause run={detail.data} failure={failure.data} />;
  const isDetailMissing = detail.data === undefined && (detail.error !== null || failure.data !== undefined);
  return <Awaited title="Root cause" query={isDetailMissing ? detail : failure} rows={5} />;
}

function RunScreen({
  stream,
  runId,
}: {
  stream: RunStream & { run: NonNullable<RunStream["run"]> };
  runId: string;
}) {
  const { run } = stream;
  const { line, task, question, choice, ordinal, choose, showWhole } = useAttempt();
  const ended = isFinalRunState(run.state);
  const read = useRunDetail(runId, run.state);
  const detail = read.data;
  const failure = useFailure(runId, run.state);
  const { tasks, pauses } = useTasks(stream, { attempts: detail?.attemptList, ordinal });
  useRecent("run", runId, `${run.deployment} ${shortId(runId)}`);
  const artifacts = useMemo(() => [...stream.artifacts.values()], [stream.artifacts]);
  return (
    <>
      <Still.Header run={run} detail={detail} ordinal={ordinal} onAttempt={choose} />
      <div className="flex flex-col gap-4">
        <Troubles troubles={detail?.troubles} />
        {hasCause(run.state) && <Cause detail={read} failure={failure} />}
        <Still.Questions runId={runId} state={run.state} isOver={ended} linkedId={question} choice={choice} />
        <Still.Answers runId={runId} state={run.state} />
        {!ended && <Still.Why runId={runId} state={run.state} />}
        <div className="grid gap-4 lg:grid-cols-2">
          <div className="flex min-w-0 flex-col gap-4">
            <TasksPanel tasks={tasks} pauses={pauses} isOver={ended} />
            {detail && <Still.Children run={detail} />}
            <Still.Artifacts artifacts={artifacts} runId={runId} />
            {detail ? (
              <Still.Detail run={detail} />
            ) : (
              <Awaited title="Parameters and history" query={read} rows={4} />
            )}
          </div>
          <div className="min-w-0 lg:sticky lg:top-28 lg:self-start">
            <Still.Log
              key={`${ordinal} ${task}`}
              task={task}
              onWhole={showWhole}
              runId={runId}
              live={!ended}
              grownTo={stream.logEnd}
              attempt={ordinal ?? undefined}
              line={
                line ??
                (ordinal === null || ordinal === run.attempts ? lineOfFailure(failure.data) : undefined)
              }
            />
          </div>
        </div>
      </div>
    </>
  );
}

/** The head and the panels of a run that is loading. */
function RunSkeleton() {
  return (
    <>
      <div className="mb-4 h-19 space-y-3 border-b border-line max-md:mt-2">
        <div className="skeleton h-5 w-52" />
        <div className="skeleton h-4 w-3/4" />
      </div>
      <Skeleton look="panels" rows={12} />
    </>
  );
}

/** A run that is followed from the first render on. */
function FollowedRun({ runId, onAgain }: { runId: string; onAgain: () => void }) {
  const stream = useRunStream(runId);
  const { run } = stream;
  // The stream retries without a limit. A plain request fails at once, and gives the reason.
  const { error } = useQuery({
    queryKey: ["run", runId],
    queryFn: ({ signal }) => client.getRun({ params: { runId } }, { signal }),
    enabled: !run,
  });
  const failure = stream.failure ?? error;
  useTab(run ? `${run.state} · ${run.deployment}` : undefined, run ? markOf(run.state) : undefined);
  if (failure && !run) return <Failure failure={failure} retry={{ refetch: onAgain }} />;
  if (!run) return <RunSkeleton />;
  return <RunScreen key={runId} runId={runId} stream={{ ...stream, run }} />;
}

/** The page of a run: state, tasks, artifacts and log. All of it is live. */
export function RunPage() {
  const { runId } = useParams({ from: "/runs/$runId" });
  const [tries, setTries] = useState(0);
  // The hub does not retry a refused run, so it is followed again.
  return <FollowedRun key={tries} runId={runId} onAgain={() => setTries(tries + 1)} />;
}
