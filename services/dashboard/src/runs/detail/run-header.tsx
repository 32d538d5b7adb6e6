import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { workingMs } from "@towpath/client/attempt-tasks";
import {
  amountsText,
  CAUSES,
  type DeploymentVersion,
  isCancellable,
  isFinalRunState,
  type Run,
  type RunSummary,
  shortId,
  type Trigger,
  triggerText,
} from "@towpath/contract";
import { lazy, type ReactNode, Suspense, useState } from "react";
import { useUsualMs } from "../../deployments/use-deployments.ts";
import { useMay } from "../../identity/me.ts";
import { Button } from "../../kernel/button.tsx";
import { client } from "../../kernel/client.ts";
import { useTimed, wholeSecond } from "../../kernel/clock.ts";
import { duration } from "../../kernel/format.ts";
import { Elapsed, Instant } from "../../kernel/instant.tsx";
import { Facts } from "../../kernel/panel.tsx";
import { RerunButtons, RunMore } from "../rerun/rerun-buttons.tsx";
import { StateBadge } from "../state-badge.tsx";
import { USUAL } from "../usual-time.tsx";
import { LABELS, triggerWords } from "../words.ts";

const CancelDialog = lazy(async () => ({ default: (await import("./cancel-dialog.tsx")).CancelDialog }));

function TriggerText({ trigger }: { trigger: Trigger }) {
  const words = <span title={triggerText(trigger)}>{triggerWords(trigger)}</span>;
  if (trigger.kind !== "run" && trigger.kind !== "rerun") return words;
  return (
    <Link to="/runs/$runId" params={{ runId: trigger.runId }} className="text-accent hover:underline">
      {words}
    </Link>
  );
}

/** The short form of a digest or commit. */
const SHORT_DIGEST = /^(?:sha256:)?([0-9a-f]{8})/;

/** The version of a run, and its code. */
function VersionCode({ run }: { run: RunSummary }) {
  const { deployment: name, version } = run;
  const { data } = useQuery({
    queryKey: ["version", name, version],
    queryFn: ({ signal }) => client.getVersion({ params: { name, version } }, { signal }),
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: false as const,
  });
  const code = data?.version.code;
  return (
    <>
      <Link to="/deployments/$name" params={{ name }} className="hover:text-accent">
        v{version}
      </Link>
      {code && (
        <span className="ml-1.5 text-soft">
          <CodeDigest code={code} text={SHORT_DIGEST.exec(code.digest)?.[1] ?? ""} />
        </span>
      )}
    </>
  );
}

function AttemptPicker({
  run,
  ordinal,
  onAttempt,
}: {
  run: Run;
  ordinal: number | null;
  onAttempt: (ordinal: number | null) => void;
}) {
  if (run.attemptList.length < 2) return <>{run.attempts === 0 ? "none yet" : run.attempts}</>;
  return (
    <select
      aria-label="Attempt"
      className="field h-6! pl-1.5!"
      value={ordinal ?? ""}
      onChange={(event) => onAttempt(event.target.value === "" ? null : Number(event.target.value))}
    >
      <option value="">all {run.attemptList.length}</option>
      {run.attemptList.map((attempt) => (
        <option key={attempt.id} value={attempt.ordinal}>
          {attempt.ordinal}: {attempt.state}
          {attempt.cause ? `, ${attempt.cause}` : ""}
        </option>
      ))}
    </select>
  );
}

const WORKING =
  "The working time: the sum of the attempts. It leaves out the time between attempts, in which a run waits for an answer, an event or a slot.";

/** Whether a run has spent time outside of its attempts: it has several, or waits after the only one. */
function hasPauses(run: RunSummary, attempts: Run["attemptList"]): boolean {
  const [first] = attempts;
  if (attempts.length > 1 || first === undefined) return attempts.length > 1;
  return first.startedAt !== null && first.endedAt !== null && first.endedAt !== run.endedAt;
}

/** The working time of a run, of the time from its start to its end. */
function Working({ run, attempts }: { run: RunSummary; attempts: Run["attemptList"] }) {
  const isOpen = attempts.some((one) => one.startedAt !== null && one.endedAt === null);
  const text = useTimed((now) => duration(workingMs(attempts, wholeSecond(now)) ?? 0), isOpen);
  return (
    <span title={WORKING}>
      {text} of work in <Elapsed startedAt={run.startedAt} endedAt={run.endedAt} />
    </span>
  );
}

/** The duration of a run, and the usual duration. */
function Duration({ run, detail }: { run: RunSummary; detail: Run | undefined }) {
  const usualMs = useUsualMs(run.deployment);
  return (
    <>
      {detail !== undefined && hasPauses(run, detail.attemptList) ? (
        <Working run={run} attempts={detail.attemptList} />
      ) : (
        <Elapsed startedAt={run.startedAt} endedAt={run.endedAt} none="not started" />
      )}
      {usualMs !== null && (
        <span className="text-faint" title={USUAL}>
          , usually {duration(usualMs)}
        </span>
      )}
    </>
  );
}

function factsOf(args: Parameters<typeof RunHeader>[0]): (readonly [string, ReactNode])[] {
  const { run, detail, ordinal } = args;
  const attempt = detail?.attemptList.find((one) => one.ordinal === (ordinal ?? run.attempts));
  return [
    ["Duration", <Duration key="duration" run={run} detail={detail} />],
    run.startedAt === null
      ? ["Created", <Instant key="at" at={run.createdAt} absolute />]
      : ["Started", <Instant key="at" at={run.startedAt} absolute />],
    ...(run.cause && isFinalRunState(run.state)
      ? [
          [
            "Cause",
            <span key="cause" title={CAUSES[run.cause]}>
              {run.cause}
            </span>,
          ] as const,
        ]
      : []),
    ["Trigger", <TriggerText key="trigger" trigger={run.trigger} />],
    ["Version", <VersionCode key="version" run={run} />],
    ["Pool", run.queue === null ? run.pool : `${run.pool} / ${run.queue}`],
    ...(detail && Object.keys(detail.needs).length > 0
      ? [["Needs", amountsText(detail.needs)] as const]
      : []),
    ...(attempt?.worker ? [["Worker", attempt.worker.name] as const] : []),
    ...(detail
      ? [
          [
            "Attempt",
            <AttemptPicker key="attempt" run={detail} ordinal={ordinal} onAttempt={args.onAttempt} />,
          ] as const,
        ]
      : []),
    ...(run.tags.length > 0 ? [["Tags", run.tags.join(", ")] as const] : []),
    [
      "Run",
      <code key="id" title={run.id} className="font-mono">
        {shortId(run.id)}
      </code>,
    ],
  ];
}

/** The head of a run's page: its state, facts and actions. It stays visible. */
export function RunHeader(args: {
  run: RunSummary;
  detail: Run | undefined;
  /** The ordinal of the attempt that is shown. Null: the whole run. */
  ordinal: number | null;
  onAttempt: (ordinal: number | null) => void;
}) {
  const { run } = args;
  return (
    <header
      data-run-header
      className="border-line bg-canvas max-md:contents md:sticky md:top-0 md:z-10 md:-mx-6 md:-mt-5 md:mb-4 md:border-b md:px-6 md:pt-4 md:pb-3"
    >
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2 border-line bg-canvas max-md:sticky max-md:top-12 max-md:z-10 max-md:-mx-4 max-md:-mt-4 max-md:border-b max-md:px-4 max-md:py-2.5 md:mb-2">
        <h1 className="min-w-0 [overflow-wrap:anywhere]">
          <Link to="/deployments/$name" params={{ name: run.deployment }} className="hover:text-accent">
            {run.deployment}
          </Link>
        </h1>
        {run.name && <span className="min-w-0 truncate text-16 text-soft">{run.name}</span>}
        <StateBadge state={run.state} />
        {run.labels.map((label) => (
          <span key={label} title={LABELS[label]} className="rounded bg-warn-soft px-1.5 text-12 text-warn">
            {label}
          </span>
        ))}
        <div className="ml-auto flex items-center gap-1.5">
          {isCancellable(run.state) && <CancelButton run={run} />}
          <RerunButtons run={run} />
          <RunMore run={run} />
        </div>
      </div>
      <div className="max-md:py-3">
        <Facts facts={factsOf(args)} />
      </div>
    </header>
  );
}

/** The digest of the code, or its short form in `text`. A link to the commit, if the registry has one. */
function CodeDigest({ code, text }: { code: DeploymentVersion["code"]; text: string }) {
  const digest = (
    <code
      className="font-mono [overflow-wrap:anywhere]"
      title={`${code.kind === "git" ? "Commit" : "Digest"} ${code.digest} in ${code.registry}`}
    >
      {text}
    </code>
  );
  if (code.kind !== "git" || code.link === undefined) return digest;
  return (
    <a href={code.link} target="_blank" rel="noopener noreferrer" className="text-accent hover:underline">
      {digest}
    </a>
  );
}

/** Opens the dialog that cancels a run. */
function CancelButton({ run }: { run: RunSummary }) {
  const may = useMay("run");
  const [asks, setAsks] = useState(false);
  if (!may) return null;
  return (
    <>
      <Button look="danger" onClick={() => setAsks(true)}>
        Cancel…
      </Button>
      <Suspense>{asks && <CancelDialog run={run} onClose={() => setAsks(false)} />}</Suspense>
    </>
  );
}
