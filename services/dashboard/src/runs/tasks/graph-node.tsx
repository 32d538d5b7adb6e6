import type { TaskRunState } from "@towpath/contract";
import { Handle, type Node, type NodeProps, Position } from "@xyflow/react";
import { duration } from "../../kernel/format.ts";
import { StateShape } from "../state-badge.tsx";
import { BOX } from "./graph-layout.ts";
import { type GraphNode, stateOf } from "./graph-model.ts";
import { spanOf } from "./waterfall-rows.ts";

/** A box of the graph with its data. */
export type BoxNode = Node<
  {
    readonly node: GraphNode;
    readonly now: number;
    readonly isCritical: boolean;
    readonly isBack: boolean;
    readonly isChosen: boolean;
    readonly onChoose: () => void;
    readonly onKey: (key: string) => boolean;
  },
  "box"
>;

/** The line of text above the boxes without arrows. */
export type ApartNode = Node<Record<string, never>, "apart">;

/** Says what the boxes below it are. */
export function ApartHeading() {
  return <p className="text-12 text-faint">No data to or from other tasks is recorded for:</p>;
}

const EDGES: Partial<Record<TaskRunState, string>> = {
  failed: "border-bad",
  crashed: "border-bad",
  running: "border-accent",
  retrying: "border-warn",
};

function takenText({ tasks }: GraphNode, now: number): string {
  const begun = tasks.filter((task) => task.startedAt !== null && !task.reused);
  if (begun.length === 0) return tasks.every((task) => task.reused) ? "reused" : "";
  const span = spanOf(
    begun.map((task) => ({ ...task, createdAt: task.startedAt ?? task.createdAt })),
    now,
  );
  return duration(span.toMs - span.fromMs);
}

const CHAIN = "its calls pass data to each other";

function labelOf(node: GraphNode, args: { took: string; isCritical: boolean }): string {
  const { name, tasks, counts, from, isChain } = node;
  const states = counts
    .map(([state, count]) => (tasks.length === 1 ? state : `${count} ${state}`))
    .join(", ");
  const many = tasks.length === 1 ? "" : `, ${tasks.length} calls`;
  return `${name}${many}: ${states}${args.took && `, ${args.took}`}${args.isCritical ? ", on the critical path" : ""}${from.length > 0 ? `, data from ${from.join(", ")}` : ""}${isChain ? `, ${CHAIN}` : ""}`;
}

/** A call of the graph, or several calls of one task with the number of calls in each state. */
export function GraphBox({ data }: NodeProps<BoxNode>) {
  const { node, isCritical, isBack, isChosen } = data;
  const took = takenText(node, data.now);
  const isGroup = node.tasks.length > 1;
  return (
    <>
      <Handle type="target" position={Position.Top} isConnectable={false} className="opacity-0" />
      <button
        type="button"
        data-graph-node={node.id}
        aria-pressed={isChosen}
        onClick={data.onChoose}
        onKeyDown={(event) => {
          if (data.onKey(event.key)) event.preventDefault();
        }}
        className={`nopan flex flex-col justify-center gap-0.5 rounded-md border bg-surface px-2.5 text-left ${EDGES[stateOf(node)] ?? "border-edge"} ${isChosen ? "bg-accent-soft" : "hover:bg-hover"} ${isCritical ? "border-2" : ""} ${isGroup ? "stacked" : ""} ${isBack ? "opacity-40" : ""}`}
        style={BOX}
      >
        <span className="sr-only">{labelOf(node, { took, isCritical })}</span>
        <span aria-hidden="true" className="flex w-full items-center gap-1.5">
          {isGroup || <StateShape state={stateOf(node)} />}
          <span className="truncate text-13 font-medium">{node.name}</span>
          {isGroup && (
            <span className="text-12 text-faint tabular-nums">
              ×{node.tasks.length.toLocaleString("en-US")}
            </span>
          )}
          {node.isChain && (
            <span className="text-12 text-faint" title="Its calls pass data to each other">
              ↻
            </span>
          )}
          {isCritical && <span className="ml-auto text-11">◆</span>}
        </span>
        <span aria-hidden="true" className="flex w-full items-center gap-2 text-12 text-soft tabular-nums">
          {isGroup
            ? node.counts.map(([state, count]) => (
                <span key={state} className="flex items-center gap-0.5">
                  <StateShape state={state} size={10} /> {count.toLocaleString("en-US")}
                </span>
              ))
            : stateOf(node)}
          <span className="ml-auto">{took}</span>
        </span>
      </button>
      <Handle type="source" position={Position.Bottom} isConnectable={false} className="opacity-0" />
    </>
  );
}
