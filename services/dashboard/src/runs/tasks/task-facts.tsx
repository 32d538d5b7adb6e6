import type { FoldedTask } from "@towpath/client/attempt-tasks";
import { dataTimeText, type TaskRun, taskPathLabel, type Upstream } from "@towpath/contract";
import { Button } from "../../kernel/button.tsx";
import { bytes, counted, duration } from "../../kernel/format.ts";
import { TimeOfDay } from "../../kernel/instant.tsx";
import { Facts } from "../../kernel/panel.tsx";
import { StateBadge } from "../state-badge.tsx";
import { tookMs } from "./waterfall-rows.ts";

function waitedText(task: TaskRun): string | null {
  if (task.startedAt === null) return null;
  const ms = Date.parse(task.startedAt) - Date.parse(task.createdAt);
  return ms < 1 ? null : duration(ms);
}

function Tries({ task }: { task: TaskRun }) {
  return (
    <ol className="mt-2 space-y-0.5">
      {task.tryList.map((one, index) => (
        <li key={one.startedAt} className="flex gap-3 text-12">
          <span className="w-12 shrink-0 text-faint">try {task.tries - task.tryList.length + index + 1}</span>
          <span className="w-36 shrink-0 text-faint">
            <TimeOfDay at={one.startedAt} />
          </span>
          <span
            className={`min-w-0 [overflow-wrap:anywhere] ${one.error === null ? "text-soft" : "text-bad"}`}
          >
            {one.error ?? (one.endedAt === null ? "running" : "no error")}
          </span>
        </li>
      ))}
    </ol>
  );
}

/** The calls whose data a call received. A map stands for its calls, so it has no details of its own. */
function Upstreams({
  upstream,
  isCall,
  onChoose,
}: {
  upstream: Upstream;
  isCall: (path: string) => boolean;
  onChoose: (path: string) => void;
}) {
  return (
    <span className="flex flex-wrap gap-x-2">
      {upstream.paths.map((path) =>
        isCall(path) ? (
          <button
            key={path}
            type="button"
            className="text-accent hover:underline"
            title={path}
            onClick={() => onChoose(path)}
          >
            {taskPathLabel(path)}
          </button>
        ) : (
          <span key={path} title={path}>
            {taskPathLabel(path)}
          </span>
        ),
      )}
      {upstream.more === true && <span className="text-faint">and more</span>}
    </span>
  );
}

/** The details of one task call. */
export function TaskFacts({
  task,
  now,
  isCall,
  onChoose,
  onClose,
}: {
  task: FoldedTask;
  now: number;
  /** Whether the page has a call with this path. */
  isCall: (path: string) => boolean;
  onChoose: (path: string) => void;
  onClose: () => void;
}) {
  const waited = waitedText(task);
  const ranMs = tookMs(task, now);
  return (
    <section aria-label={`Task ${task.name}`} className="border-t border-line p-3">
      <div className="mb-2 flex flex-wrap items-center gap-x-3 gap-y-1">
        <h3 className="font-medium">{task.name}</h3>
        <StateBadge state={task.state} />
        {task.reused && (
          <span className="text-12 text-faint">
            {task.state === "failed"
              ? "reused failure: the task failed in an earlier attempt, and the flow handled the error"
              : "reused result"}
          </span>
        )}
        <Button look="quiet" className="ml-auto" onClick={onClose}>
          Close
        </Button>
      </div>
      <Facts
        facts={[
          ["Ran for", ranMs === null ? "not started" : duration(ranMs)],
          ...(task.earlier === undefined
            ? []
            : [["Called in", counted(task.earlier.length + 1, "attempt")] as const]),
          ...(waited === null ? [] : [["Waited", waited] as const]),
          ...(task.dataTime === undefined ? [] : [["Data", dataTimeText(task.dataTime)] as const]),
          ...(task.upstream === undefined
            ? []
            : [
                [
                  "Data from",
                  <Upstreams key="upstream" upstream={task.upstream} isCall={isCall} onChoose={onChoose} />,
                ] as const,
              ]),
          ["Called", <TimeOfDay key="called" at={task.createdAt} />],
          ...(task.tries > 1 ? [["Tries", task.tries] as const] : []),
          ...(task.codeVersion === null
            ? []
            : [["Code", <code key="code">{task.codeVersion.slice(0, 12)}</code>] as const]),
          ...(task.inputHash === null
            ? []
            : [["Input", <code key="input">{task.inputHash.slice(0, 12)}</code>] as const]),
        ]}
      />
      {task.error && (
        <p className="mt-2 text-bad [overflow-wrap:anywhere]">
          {task.error.name}: {task.error.message}
        </p>
      )}
      {task.tryList.length > 0 && <Tries task={task} />}
      <p className="mt-2 font-mono text-12 text-faint [overflow-wrap:anywhere]">
        {task.path}
        {task.result && (
          <>
            <br />
            {task.result.uri} ({bytes(task.result.sizeBytes)})
          </>
        )}
      </p>
    </section>
  );
}
