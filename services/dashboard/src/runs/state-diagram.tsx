import { Link } from "@tanstack/react-router";
import { isFinalRunState, type Overview, RUN_STATES, type RunState } from "@towpath/contract";
import { useState } from "react";
import { StateShape } from "./state-badge.tsx";
import { type Arrow, arrowsOf, countOf } from "./state-moves.ts";

const BOX = { width: 128, height: 38 } as const;
const PITCH = { x: 172, y: 78 } as const;
/** Space above the boxes for arrows that lead back over them. */
const TOP_PX = 8;

/** The column and row of each state. Runs go from left to right. The arrows come from the table of transitions. */
const POSITIONS: Readonly<Record<RunState, readonly [column: number, row: number]>> = {
  scheduled: [0, 1],
  ready: [1, 1],
  blocked: [1, 2],
  claimed: [2, 1],
  suspended: [2, 2],
  running: [3, 1],
  cancelling: [4, 3],
  completed: [5, 0],
  failed: [5, 1],
  crashed: [5, 2],
  cancelled: [5, 3],
};
const SIZE = { width: 5 * PITCH.x + BOX.width, height: TOP_PX + 3 * PITCH.y + BOX.height } as const;

/** Transitions of many states or few runs. They are drawn only for the state under the pointer. */
const QUIET: ReadonlySet<string> = new Set(["expire", "cancel", "release", "reassign", "refuse"]);

/** Arrows that few runs take, such as a wait that was satisfied before its run was suspended. */
const QUIET_WAYS: ReadonlySet<string> = new Set([
  "running ready",
  "running blocked",
  "suspended blocked",
  "claimed cancelling",
]);

const count = new Intl.NumberFormat("en-US", { notation: "compact" });

function boxOf(state: RunState) {
  const [column, row] = POSITIONS[state];
  const [left, top] = [column * PITCH.x, TOP_PX + row * PITCH.y];
  const middle = { x: left + BOX.width / 2, y: top + BOX.height / 2 };
  return { left, top, right: left + BOX.width, bottom: top + BOX.height, middle, column, row };
}

/** The path of an arrow, and the position of its label. */
interface Drawn {
  readonly path: string;
  readonly x: number;
  readonly y: number;
}

/** The distance from a corner of the box where an arrow to another row starts or ends. */
const CORNER_PX = 26;
/** The label of a horizontal arrow is above it: between two boxes there is no space for both. */
const ABOVE_PX = 12;

type Box = ReturnType<typeof boxOf>;

/** From side to side. The label of a steep arrow is between the first two rows. */
function forwards(a: Box, b: Box): Drawn {
  const bend = (b.left - a.right) / 2;
  const path = `M${a.right} ${a.middle.y}C${a.right + bend} ${a.middle.y} ${b.left - bend} ${b.middle.y} ${b.left} ${b.middle.y}`;
  const x = (a.right + b.left) / 2;
  if (a.row === b.row) return { path, x, y: a.middle.y - ABOVE_PX };
  const share = Math.abs(a.row - b.row) > 2 && b.column - a.column === 1 ? 1 / 6 : 0.5;
  return { path, x, y: a.middle.y + (b.middle.y - a.middle.y) * share };
}

/** Back over the top of a row. */
function over(a: Box, b: Box): Drawn {
  const high = a.top - (a.column - b.column) * 26;
  const path = `M${a.middle.x} ${a.top}C${a.middle.x} ${high} ${b.middle.x} ${high} ${b.middle.x} ${b.top}`;
  return { path, x: (a.middle.x + b.middle.x) / 2, y: a.top * 0.25 + high * 0.75 - 9 };
}

/** Back to another row, between the rows. */
function between(a: Box, b: Box): Drawn {
  const [start, end] = b.row < a.row ? [a.top, b.bottom] : [a.bottom, b.top];
  const [from, to] = [a.left + CORNER_PX, b.right - CORNER_PX];
  const bend = (end - start) * 0.7;
  const path = `M${from} ${start}C${from} ${start + bend} ${to} ${end - bend} ${to} ${end}`;
  return { path, x: (from + to) / 2, y: (start + end) / 2 };
}

/** The arrow between two boxes. */
function pathOf(from: RunState, to: RunState): Drawn {
  const [a, b] = [boxOf(from), boxOf(to)];
  if (b.column > a.column) return forwards(a, b);
  if (b.column < a.column) return b.row === a.row ? over(a, b) : between(a, b);
  const [start, end] = b.row < a.row ? [a.top, b.bottom] : [a.bottom, b.top];
  const x = a.middle.x - CORNER_PX;
  return { path: `M${x} ${start}L${x} ${end}`, x, y: (start + end) / 2 };
}

function ArrowPath({
  arrow,
  moves,
  look,
}: {
  arrow: Arrow;
  moves: readonly string[];
  look: "plain" | "pointed" | "back";
}) {
  const { path, x, y } = pathOf(arrow.from, arrow.to);
  const colour = { plain: "var(--faint)", pointed: "var(--accent)", back: "var(--line)" }[look];
  return (
    <g>
      <path
        d={path}
        fill="none"
        stroke={colour}
        strokeWidth={look === "pointed" ? 1.8 : 1.2}
        markerEnd={`url(#arrow-${look})`}
      />
      {look !== "back" && (
        <text
          x={x}
          y={y + 4}
          textAnchor="middle"
          paintOrder="stroke"
          fill={look === "pointed" ? "var(--accent)" : "var(--soft)"}
          stroke="var(--surface)"
          strokeWidth="5"
          className="text-11"
        >
          {moves.join(", ")}
        </text>
      )}
    </g>
  );
}

function ArrowHead({ look, colour }: { look: string; colour: string }) {
  return (
    <marker
      id={`arrow-${look}`}
      viewBox="0 0 8 8"
      refX="7"
      refY="4"
      orient="auto"
      markerUnits="userSpaceOnUse"
      markerWidth="8"
      markerHeight="8"
    >
      <path d="M0 .8 7 4 0 7.2z" fill={colour} />
    </marker>
  );
}

/** The usual arrows, and all arrows of the state under the pointer. */
function Arrows({ pointed }: { pointed: RunState | null }) {
  return (
    <svg aria-hidden="true" {...SIZE} className="absolute inset-0 overflow-visible font-sans">
      <defs>
        <ArrowHead look="plain" colour="var(--faint)" />
        <ArrowHead look="back" colour="var(--line)" />
        <ArrowHead look="pointed" colour="var(--accent)" />
      </defs>
      {arrowsOf(RUN_STATES)
        .toSorted((a, b) => Number(a.from === pointed) - Number(b.from === pointed))
        .map((arrow) => {
          const isPointed = arrow.from === pointed;
          const moves = isPointed ? arrow.moves : arrow.moves.filter((move) => !QUIET.has(move));
          const isSeldom = moves.length === 0 || QUIET_WAYS.has(`${arrow.from} ${arrow.to}`);
          if (isSeldom && !isPointed) return null;
          const look = isPointed ? "pointed" : pointed === null ? "plain" : "back";
          return <ArrowPath key={`${arrow.from} ${arrow.to}`} arrow={arrow} moves={moves} look={look} />;
        })}
    </svg>
  );
}

/**
 * The states of a run with the number of runs in each, and the transitions of the contract's table. Pointing at a state
 * shows all its transitions. The cards below the diagram list the same as text.
 */
export function StateDiagram({ overview }: { overview: Overview }) {
  const [pointed, setPointed] = useState<RunState | null>(null);
  return (
    <div className="overflow-x-auto rounded-lg border border-line bg-surface px-3 py-5">
      <div className="relative mx-auto" style={SIZE}>
        <Arrows pointed={pointed} />
        {RUN_STATES.map((state) => {
          const { left, top } = boxOf(state);
          return (
            <Link
              key={state}
              to="/runs"
              search={isFinalRunState(state) ? { state, since: "24h" } : { state }}
              onPointerEnter={() => setPointed(state)}
              onPointerLeave={() => setPointed(null)}
              onFocus={() => setPointed(state)}
              onBlur={() => setPointed(null)}
              className="absolute flex items-center gap-1.5 rounded-md border border-edge bg-surface px-2 text-12 font-medium hover:border-accent"
              style={{ left, top, ...BOX }}
            >
              <StateShape state={state} /> {state}
              <span className="ml-auto tabular-nums">{count.format(countOf(overview, state))}</span>
            </Link>
          );
        })}
      </div>
    </div>
  );
}
