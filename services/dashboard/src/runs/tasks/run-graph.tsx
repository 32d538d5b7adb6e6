import {
  Background,
  Controls,
  type Edge,
  MarkerType,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
} from "@xyflow/react";
import { useEffect, useMemo, useRef } from "react";
import "@xyflow/react/dist/base.css";
import "./run-graph.css";
import { BOX, layoutOf, neighbourOf } from "./graph-layout.ts";
import { firstOf, GRAPH_EDGES_MAX, GRAPH_NODES_MAX, type Graph, graphOf } from "./graph-model.ts";
import { ApartHeading, type ApartNode, type BoxNode, GraphBox } from "./graph-node.tsx";
import type { TaskNode } from "./task-tree.ts";
import type { Picture } from "./waterfall.tsx";

const NODE_TYPES = { box: GraphBox, apart: ApartHeading };
const APART_ID = "//apart";
/** Where arrows end and begin. If React Flow measured boxes itself, arrows would vanish when a box is drawn again. */
const HANDLES = [
  { type: "target" as const, position: Position.Top, x: BOX.width / 2, y: 0 },
  { type: "source" as const, position: Position.Bottom, x: BOX.width / 2, y: BOX.height },
];
const HEADING = { width: 320, height: 20 } as const;
const HEIGHT_PX = 460;
const ZOOM = { least: 0.15 } as const;
const FIT = { maxZoom: 1, padding: 0.08 } as const;

/** The data that decides the layout. States are not part of it, as they change during a run. */
function shapeOf({ nodes, edges }: Graph): string {
  return JSON.stringify([nodes.map(({ id }) => id), edges.map(({ from, to }) => [from, to])]);
}

function useLayout(graph: Graph) {
  const kept = useRef<({ shape: string } & ReturnType<typeof layoutOf>) | null>(null);
  const shape = useMemo(() => shapeOf(graph), [graph]);
  if (kept.current?.shape !== shape) kept.current = { shape, ...layoutOf(graph) };
  return kept.current;
}

function criticalNodes(graph: Graph, critical: ReadonlySet<string>): ReadonlySet<string> {
  const nodes = graph.nodes.filter(({ tasks }) => tasks.some((task) => critical.has(task.path)));
  return new Set(nodes.map(({ id }) => id));
}

function edgesOf(graph: Graph, picture: Picture): Edge[] {
  const critical = criticalNodes(graph, picture.critical);
  return graph.edges.map(({ from, to, kind }): Edge => {
    const isCritical = critical.has(from) && critical.has(to);
    const stroke = isCritical ? "var(--ink)" : "var(--faint)";
    return {
      id: `${from} ${to}`,
      source: from,
      target: to,
      focusable: false,
      selectable: false,
      style: {
        stroke,
        strokeWidth: isCritical ? 2 : 1.2,
        opacity: picture.isDimmed && !isCritical ? 0.35 : 1,
        ...(kind === "calls" && { strokeDasharray: "4 4" }),
      },
      markerEnd: {
        type: MarkerType.ArrowClosed,
        color: stroke,
        width: isCritical ? 8 : 12,
        height: isCritical ? 8 : 12,
      },
    };
  });
}

function Drawing({
  graph,
  picture,
  onChoose,
}: {
  graph: Graph;
  picture: Picture;
  onChoose: (path: string) => void;
}) {
  const { shape, positions, apart } = useLayout(graph);
  const flow = useReactFlow();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // A reader who uses the keyboard keeps the view while new calls are added.
    if (shape.length > 0 && !box.current?.contains(document.activeElement)) void flow.fitView(FIT);
  }, [flow, shape]);
  const goTo = (key: string, id: string): boolean => {
    const next = neighbourOf(graph, { positions, id, key });
    const position = next === undefined ? undefined : positions.get(next);
    if (next === undefined || position === undefined) return false;
    void flow.setCenter(position.x + BOX.width / 2, position.y + BOX.height / 2, { zoom: flow.getZoom() });
    box.current
      ?.querySelector<HTMLElement>(`[data-graph-node="${CSS.escape(next)}"]`)
      ?.focus({ preventScroll: true });
    return true;
  };
  const nodes = graph.nodes.map((node): BoxNode => {
    const isCritical = node.tasks.some((task) => picture.critical.has(task.path));
    return {
      id: node.id,
      type: "box",
      position: positions.get(node.id) ?? { x: 0, y: 0 },
      ...BOX,
      measured: BOX,
      handles: HANDLES,
      // Without it, boxes that cannot be dragged cannot be clicked.
      style: { pointerEvents: "all" },
      data: {
        node,
        isCritical,
        now: picture.now,
        isBack: picture.isDimmed && !isCritical,
        isChosen: node.tasks.some((task) => task.path === picture.chosen),
        onChoose: () => {
          const first = firstOf(node);
          if (first) onChoose(first.path);
        },
        onKey: (key) => goTo(key, node.id),
      },
    };
  });
  const heading: ApartNode[] =
    apart === null
      ? []
      : [{ id: APART_ID, type: "apart", position: apart, ...HEADING, measured: HEADING, data: {} }];
  return (
    <div ref={box} className="run-graph" style={{ height: HEIGHT_PX }}>
      <ReactFlow
        nodes={[...nodes, ...heading]}
        edges={edgesOf(graph, picture)}
        nodeTypes={NODE_TYPES}
        fitView
        attributionPosition="bottom-left"
        fitViewOptions={FIT}
        minZoom={ZOOM.least}
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        zoomOnScroll={false}
        panOnScroll={false}
        preventScrolling={false}
        deleteKeyCode={null}
      >
        <Background gap={20} size={1} color="var(--line)" />
        <Controls showInteractive={false} position="bottom-right" />
      </ReactFlow>
    </div>
  );
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}

/** What an arrow means, and what is missing. */
function legendOf({ edges, left, edgesLeft }: Graph): string {
  const has = (kind: string) => edges.some((edge) => edge.kind === kind);
  return [
    has("data")
      ? "A solid arrow from A to B: B received an object or a ref that A returned."
      : "No data dependency is recorded. A solid arrow appears if a task receives an object or a ref that another task returned.",
    "Texts and numbers are not followed.",
    has("calls") ? "A dashed arrow shows which task called it." : "",
    left > 0 ? `Only the first ${GRAPH_NODES_MAX} boxes are shown. ${count(left)} more are in the list.` : "",
    edgesLeft > 0
      ? `Only the first ${GRAPH_EDGES_MAX} arrows are shown, of ${count(edges.length + edgesLeft)}.`
      : "",
  ]
    .filter((sentence) => sentence !== "")
    .join(" ");
}

/** The task calls of a run or an attempt as a live graph. Arrow keys move between boxes, and Enter shows details. */
export default function RunGraph({
  roots,
  picture,
  onChoose,
}: {
  roots: readonly TaskNode[];
  picture: Picture;
  onChoose: (path: string) => void;
}) {
  const graph = useMemo(() => graphOf(roots), [roots]);
  return (
    <ReactFlowProvider>
      <Drawing graph={graph} picture={picture} onChoose={onChoose} />
      <p className="border-t border-line px-3 py-1.5 text-12 text-faint">{legendOf(graph)}</p>
    </ReactFlowProvider>
  );
}
