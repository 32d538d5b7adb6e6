import { Link } from "@tanstack/react-router";
import { createColumnHelper, tableFeatures } from "@tanstack/react-table";
import { type RunSummary, shortId } from "@towpath/contract";
import { StagedName } from "../../deployments/staged-name.tsx";
import { Instant } from "../../kernel/instant.tsx";
import { StateBadge } from "../state-badge.tsx";
import { LABELS, triggerWords } from "../words.ts";
import { WorkTime } from "../work-time.tsx";

function Duration({ run }: { run: RunSummary }) {
  return (
    <span className="relative whitespace-nowrap text-soft tabular-nums">
      <WorkTime run={run} none="–" />
    </span>
  );
}

function DeploymentCell({ run }: { run: RunSummary }) {
  return (
    <span className="flex h-5 min-w-0 flex-wrap items-center gap-x-2 overflow-hidden">
      <Link
        to="/runs/$runId"
        params={{ runId: run.id }}
        data-row
        className="max-w-full truncate font-medium after:absolute after:inset-0 hover:text-accent"
      >
        <StagedName name={run.deployment} />
        {run.name && <span className="font-normal text-soft md:hidden"> {run.name}</span>}
      </Link>
      <span className="text-12 text-faint">v{run.version}</span>
      {run.labels.map((label) => (
        <span key={label} title={LABELS[label]} className="rounded bg-warn-soft px-1 text-11 text-warn">
          {label}
        </span>
      ))}
    </span>
  );
}

/** The name that the flow gave the run, and its first tags. */
function NameCell({ run }: { run: RunSummary }) {
  return (
    <span className="flex h-5 min-w-0 flex-wrap items-center gap-x-2 overflow-hidden">
      {run.name && (
        <span className="max-w-full truncate text-soft" title={run.name}>
          {run.name}
        </span>
      )}
      {run.tags.slice(0, 2).map((tag) => (
        <span
          key={tag}
          className="hidden rounded border border-line px-1 text-11 whitespace-nowrap text-soft lg:inline"
        >
          {tag}
        </span>
      ))}
    </span>
  );
}

/** The features of the table: only its row model. */
export const features = tableFeatures({});
const helper = createColumnHelper<typeof features, RunSummary>();

/** The columns of the list of runs. */
export const COLUMNS = helper.columns([
  helper.display({
    id: "state",
    header: "State",
    cell: ({ row }) => <StateBadge state={row.original.state} />,
  }),
  helper.display({
    id: "deployment",
    header: "Deployment",
    cell: ({ row }) => <DeploymentCell run={row.original} />,
  }),
  helper.display({ id: "name", header: "Name", cell: ({ row }) => <NameCell run={row.original} /> }),
  helper.display({
    id: "trigger",
    header: "Trigger",
    cell: ({ row }) => <span className="truncate text-soft">{triggerWords(row.original.trigger)}</span>,
  }),
  helper.display({
    id: "pool",
    header: "Pool",
    cell: ({ row }) => <span className="truncate text-soft">{row.original.pool}</span>,
  }),
  helper.display({
    id: "created",
    header: "Created",
    cell: ({ row }) => (
      <span className="relative text-soft">
        <Instant at={row.original.createdAt} />
      </span>
    ),
  }),
  helper.display({ id: "duration", header: "Duration", cell: ({ row }) => <Duration run={row.original} /> }),
  helper.display({
    id: "id",
    header: "Run",
    cell: ({ row }) => (
      <span title={row.original.id} className="relative font-mono text-12 text-faint">
        {shortId(row.original.id)}
      </span>
    ),
  }),
]);
