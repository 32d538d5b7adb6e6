// biome-ignore-all lint/a11y/useSemanticElements: rows are placed by hand, which the elements of tables do not bear.
// biome-ignore-all lint/a11y/useFocusableInteractive: the links in the rows are what takes the focus.
import { useTable } from "@tanstack/react-table";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type RunSummary, shortId } from "@towpath/contract";
import { memo, type ReactNode, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useRowKeys } from "../../kernel/keyboard.ts";
import { COLUMNS, features } from "./run-columns.tsx";

const ROW_PX = 36;
/** Rows outside the view that are in the DOM, for the key `j`. */
const OVERSCAN_ROWS = 12;

const GRID =
  "grid items-center gap-x-3 px-3 grid-cols-[20px_88px_minmax(0,1fr)_76px] md:grid-cols-[24px_100px_minmax(0,5fr)_minmax(0,4fr)_90px_90px] lg:grid-cols-[24px_108px_minmax(0,5fr)_minmax(0,4fr)_minmax(0,130px)_90px_90px_90px_76px]";
/** The minimal width for a column. */
const FROM_WIDTH: Readonly<Record<string, string>> = {
  name: "hidden md:block",
  trigger: "hidden lg:flex min-w-0",
  pool: "hidden lg:flex min-w-0",
  created: "hidden md:block",
  id: "hidden lg:block",
};

function useModel(runs: readonly RunSummary[]) {
  return useTable({ features, columns: COLUMNS, data: runs, getRowId: (run) => run.id });
}
type Model = ReturnType<typeof useModel>;

/** Selects all listed runs, or none. */
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
      aria-label={`Select all ${runs.length.toLocaleString("en-US")} listed runs`}
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
          <span className="sr-only">Selected</span>
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
  chosen,
  onToggle,
}: {
  run: RunSummary;
  chosen: boolean;
  onToggle: (runId: string) => void;
}) {
  return (
    <input
      type="checkbox"
      className="accent-accent align-middle"
      aria-label={`Select ${run.deployment} ${shortId(run.id)}`}
      checked={chosen}
      onChange={() => onToggle(run.id)}
    />
  );
}

interface RowProps {
  readonly table: Model;
  readonly row: ReturnType<Model["getRowModel"]>["rows"][number];
  readonly index: number;
  /** The position in the list, pixels. */
  readonly top: number;
  readonly chosen: boolean;
  readonly onToggle: ((runId: string) => void) | null;
}

/** A row is drawn again only if its run or position changes, so scrolling draws only new rows. */
const RunRow = memo(
  function RunRow({ table, row, index, top, chosen, onToggle }: RowProps) {
    return (
      <div
        role="row"
        aria-rowindex={index + 1}
        className={`${GRID} absolute inset-x-0 top-0 border-line not-last:border-b focus-within:bg-hover hover:bg-hover`}
        style={{ height: ROW_PX, transform: `translateY(${top}px)` }}
      >
        <span role="cell" className="relative z-10">
          {onToggle && <Choose run={row.original} chosen={chosen} onToggle={onToggle} />}
        </span>
        {row.getAllCells().map((cell) => (
          <span key={cell.id} role="cell" className={`min-w-0 ${FROM_WIDTH[cell.column.id] ?? ""}`}>
            <table.FlexRender cell={cell} />
          </span>
        ))}
      </div>
    );
  },
  (one, other) =>
    one.row.original === other.row.original &&
    one.index === other.index &&
    one.top === other.top &&
    one.chosen === other.chosen &&
    one.onToggle === other.onToggle,
);

/** Toggles the selection of a run, based on the current selection. */
function useToggle(selected: Selection, onSelect: ((selected: Selection) => void) | null) {
  const latest = useRef(selected);
  latest.current = selected;
  return useMemo(() => {
    if (onSelect === null) return null;
    return (runId: string) => {
      const next = new Set(latest.current);
      if (!next.delete(runId)) next.add(runId);
      onSelect(next);
    };
  }, [onSelect]);
}

/** Virtual rows that scroll with the window. Near the last row, more are requested. */
function useRows(args: { count: number; more: boolean; onEnd: () => void }) {
  const { count, more, onEnd } = args;
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => setTop(box.current?.offsetTop ?? 0), []);
  const virtual = useWindowVirtualizer({
    count,
    overscan: OVERSCAN_ROWS,
    scrollMargin: top,
    estimateSize: () => ROW_PX,
  });
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && last >= count - 1) onEnd();
  }, [more, last, count, onEnd]);
  return { box, items, top, height: virtual.getTotalSize() };
}

/** The list of runs. Only visible rows are in the DOM. */
export function RunTable({
  runs,
  selected,
  onSelect,
  onEnd,
  more,
}: {
  runs: readonly RunSummary[];
  selected: Selection;
  /** Null: the reader may not act on selected runs. */
  onSelect: ((selected: Selection) => void) | null;
  onEnd: () => void;
  more: boolean;
}) {
  const table = useModel(runs);
  const rows = table.getRowModel().rows;
  const { box, items, top, height } = useRows({ count: rows.length, more, onEnd });
  const onToggle = useToggle(selected, onSelect);
  useRowKeys();
  return (
    <div
      role="table"
      aria-label="Runs"
      aria-rowcount={rows.length}
      className="rounded-lg border border-line bg-surface"
    >
      <Head
        table={table}
        all={onSelect && <ChooseAll runs={runs} selected={selected} onSelect={onSelect} />}
      />
      <div ref={box} role="rowgroup" className="relative" style={{ height }}>
        {items.map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          return (
            <RunRow
              key={row.id}
              table={table}
              row={row}
              index={item.index}
              top={item.start - top}
              onToggle={onToggle}
              chosen={selected.has(row.id)}
            />
          );
        })}
      </div>
    </div>
  );
}
