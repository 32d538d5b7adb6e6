// biome-ignore-all lint/a11y/useSemanticElements: rows are placed by hand, which the elements of tables do not bear.
// biome-ignore-all lint/a11y/useFocusableInteractive: the links in the rows are what takes the focus.
import { Link } from "@tanstack/react-router";
import { createColumnHelper, tableFeatures, useTable } from "@tanstack/react-table";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type RunSummary, shortId } from "@towpath/contract";
import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";
import { useNow } from "../kernel/clock.ts";
import { elapsed } from "../kernel/format.ts";
import { Instant } from "../kernel/instant.tsx";
import { useRowKeys } from "../kernel/keyboard.ts";
import { LABELS } from "./labels.ts";
import { StateBadge } from "./state-badge.tsx";
import { triggerWords } from "./trigger.ts";

const ROW_PX = 36;
/** Rows beyond the screen that are there already: where `j` goes next. */
const OVERSCAN_ROWS = 12;

function Duration({ run }: { run: RunSummary }) {
  const now = useNow(run.startedAt !== null && run.endedAt === null);
  return <span className="whitespace-nowrap text-soft tabular-nums">{elapsed({ ...run, now }) || "–"}</span>;
}

function RunNameCell({ run }: { run: RunSummary }) {
  return (
    <span className="flex h-5 min-w-0 flex-wrap items-center gap-x-2 overflow-hidden">
      <Link
        to="/runs/$runId"
        params={{ runId: run.id }}
        data-row
        className="max-w-full truncate font-medium after:absolute after:inset-0 hover:text-accent"
      >
        {run.deployment}
        {run.name && <span className="font-normal text-soft"> {run.name}</span>}
      </Link>
      <span className="text-12 text-faint">v{run.version}</span>
      {run.labels.map((label) => (
        <span key={label} title={LABELS[label]} className="rounded bg-warn-soft px-1 text-11 text-warn">
          {label}
        </span>
      ))}
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

const features = tableFeatures({});
const helper = createColumnHelper<typeof features, RunSummary>();
const COLUMNS = helper.columns([
  helper.display({
    id: "state",
    header: "State",
    cell: ({ row }) => <StateBadge state={row.original.state} />,
  }),
  helper.display({ id: "run", header: "Deployment", cell: ({ row }) => <RunNameCell run={row.original} /> }),
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

const GRID =
  "grid items-center gap-x-3 px-3 grid-cols-[20px_88px_minmax(0,1fr)_76px] md:grid-cols-[24px_100px_minmax(0,1fr)_90px_90px] lg:grid-cols-[24px_108px_minmax(0,1fr)_minmax(0,160px)_110px_100px_110px_76px]";
/** From which width a column is there. */
const FROM_WIDTH: Readonly<Record<string, string>> = {
  trigger: "hidden lg:flex min-w-0",
  pool: "hidden lg:flex min-w-0",
  created: "hidden md:block",
  id: "hidden lg:block",
};

function useModel(runs: readonly RunSummary[]) {
  return useTable({ features, columns: COLUMNS, data: runs, getRowId: (run) => run.id });
}
type Model = ReturnType<typeof useModel>;

/** Chooses every run that is listed, or none. */
function ChooseAll({
  runs,
  selected,
  onSelect,
}: {
  runs: readonly RunSummary[];
  selected: Selection;
  onSelect: (selected: Selection) => void;
}) {
  const every = runs.length > 0 && runs.every((run) => selected.has(run.id));
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (field.current) field.current.indeterminate = !every && selected.size > 0;
  }, [every, selected]);
  return (
    <input
      ref={field}
      type="checkbox"
      className="accent-accent align-middle"
      aria-label={`Choose all ${runs.length.toLocaleString("en-US")} listed runs`}
      checked={every}
      onChange={() => onSelect(every ? new Set() : new Set(runs.map((run) => run.id)))}
    />
  );
}

function Head({ table, all }: { table: Model; all: ReactNode }) {
  return (
    <div role="rowgroup">
      <div role="row" className={`${GRID} h-8 border-b border-line text-12 text-faint`}>
        <span role="columnheader">
          <span className="sr-only">Chosen</span>
          {all}
        </span>
        {table.getHeaderGroups()[0]?.headers.map((header) => (
          <span key={header.id} role="columnheader" className={FROM_WIDTH[header.id] ?? ""}>
            <table.FlexRender header={header} />
          </span>
        ))}
      </div>
    </div>
  );
}

type Selection = ReadonlySet<string>;

function Choose({
  run,
  selected,
  onSelect,
}: {
  run: RunSummary;
  selected: Selection;
  onSelect: (selected: Selection) => void;
}) {
  const toggle = () => {
    const next = new Set(selected);
    if (!next.delete(run.id)) next.add(run.id);
    onSelect(next);
  };
  return (
    <input
      type="checkbox"
      className="accent-accent align-middle"
      aria-label={`Choose ${run.deployment} ${shortId(run.id)}`}
      checked={selected.has(run.id)}
      onChange={toggle}
    />
  );
}

/** Rows by the window's scrolling; asks for more once the last is near. */
function useRows(a: { count: number; more: boolean; onEnd: () => void }) {
  const { count, more, onEnd } = a;
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => setTop(box.current?.offsetTop ?? 0), []);
  const virtual = useWindowVirtualizer({
    ...{ count, overscan: OVERSCAN_ROWS, scrollMargin: top },
    estimateSize: () => ROW_PX,
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && last >= count - 1) onEnd();
  }, [more, last, count, onEnd]);
  return { box, items, top, height: virtual.getTotalSize() };
}

/** Runs as rows, of which only those on the screen are there. */
export function RunTable({
  runs,
  selected,
  onSelect,
  onEnd,
  more,
}: {
  runs: readonly RunSummary[];
  selected: Selection;
  /** Null: the reader may not do anything with runs that were chosen. */
  onSelect: ((selected: Selection) => void) | null;
  onEnd: () => void;
  more: boolean;
}) {
  const table = useModel(runs);
  const rows = table.getRowModel().rows;
  const { box, items, top, height } = useRows({ count: rows.length, more, onEnd });
  useRowKeys();
  return (
    <div
      role="table"
      aria-label="Runs"
      aria-rowcount={rows.length}
      className="rounded-lg border border-line bg-surface"
    >
      <Head table={table} all={onSelect && <ChooseAll {...{ runs, selected, onSelect }} />} />
      <div ref={box} role="rowgroup" className="relative" style={{ height }}>
        {items.map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          return (
            <div
              key={row.id}
              role="row"
              aria-rowindex={item.index + 1}
              className={`${GRID} absolute inset-x-0 top-0 border-line not-last:border-b focus-within:bg-hover hover:bg-hover`}
              style={{ height: item.size, transform: `translateY(${item.start - top}px)` }}
            >
              <span role="cell" className="relative z-10">
                {onSelect && <Choose run={row.original} selected={selected} onSelect={onSelect} />}
              </span>
              {row.getAllCells().map((cell) => (
                <span key={cell.id} role="cell" className={`min-w-0 ${FROM_WIDTH[cell.column.id] ?? ""}`}>
                  <table.FlexRender cell={cell} />
                </span>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}
