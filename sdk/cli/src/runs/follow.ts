import type { Client, StreamedEvent } from "@towpath/client";
import { isFinalRunState, type Run } from "@towpath/contract";
import { formatDuration } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import type { StoredOpener } from "../logs/stored.ts";
import { printable, type Style } from "../output.ts";
import { artifactLines, logLine, progressLine, taskLine, workText } from "./draw.ts";
import { errorLines } from "./error-lines.ts";
import { releaseNotes, waitNotes } from "./follow-notes.ts";
import { describeState, explainCause, tellNext } from "./outcome.ts";
import { isOver, progressOf, RunView } from "./run-view.ts";
import { openScreen, type Screen } from "./screen.ts";
import { sparing } from "./task-groups.ts";
import { TimeOrder } from "./time-order.ts";

const SPINNER = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const FRAME_MS = 120;
/** At most this many open tasks are listed at the foot of a terminal. */
const OPEN_TASKS_MAX = 12;
/** In a pipe, progress is printed at every tenth. */
const PLAIN_STEP = 0.1;

/** Prints the events of a run. */
interface Show {
  event(event: StreamedEvent, view: RunView): void;
  /** Prints lines that are not events of the run. */
  note(lines: readonly string[]): void;
  close(): void;
}

interface Lasting {
  readonly style: Style;
  readonly nowMs: number;
  readonly attempts: boolean;
  readonly tell: ReturnType<typeof sparing>;
}

/** The lines that an event adds permanently, on a terminal or in a pipe. */
function lastingLines(event: StreamedEvent, args: Lasting): string[] {
  if (event.event === "begin")
    return [args.style.dim("The control plane's database was restored. The run is shown from its start:")];
  if (event.event === "log") return event.data.map((entry) => logLine(entry, args));
  if (event.event === "task" && isOver(event.data)) return args.tell(event.data, taskLine(event.data, args));
  return [];
}

function footLines(view: RunView, args: { style: Style; nowMs: number; frame: number }): string[] {
  const { style } = args;
  const mark = style.cyan(SPINNER[args.frame % SPINNER.length] ?? "");
  const open = [...view.open.values()].slice(0, OPEN_TASKS_MAX);
  const more = view.open.size - open.length;
  const progress = progressOf(view).filter(({ body }) => body.total === null || body.done < body.total);
  const lines = [
    ...open.map((task) => taskLine(task, task.state === "running" ? { ...args, mark } : args)),
    ...(more > 0 ? [style.dim(`  … and ${more} more`)] : []),
    ...progress.map(({ title, body }) => `  ${progressLine(title, body, style)}`),
  ];
  if (lines.length > 0 || view.run === null) return lines;
  const { state, createdAt } = view.run;
  const since = formatDuration(Math.max(0, args.nowMs - Date.parse(createdAt)));
  return isFinalRunState(state) ? [] : [`${mark} ${state} ${style.dim(since)}`];
}

function showOnTerminal(invocation: Invocation): Show {
  const { output, clock } = invocation;
  const { style } = output;
  const screen: Screen = openScreen(output);
  const tell = sparing(style);
  const order = new TimeOrder((lines) => screen.print([...lines]));
  let shown = new RunView();
  let frame = 0;
  const timer = setInterval(() => {
    frame += 1;
    screen.foot(footLines(shown, { style, nowMs: clock.nowMs(), frame }));
  }, FRAME_MS);
  return {
    event(event, view) {
      shown = view;
      const attempts = (view.run?.attempts ?? 1) > 1;
      order.add(event, (one) => lastingLines(one, { style, nowMs: clock.nowMs(), attempts, tell }));
    },
    note(lines) {
      if (lines.length === 0) return;
      order.flush();
      screen.print([...lines]);
    },
    close() {
      order.flush();
      clearInterval(timer);
      screen.close();
    },
  };
}

function showInPipe(invocation: Invocation): Show {
  const { output, clock } = invocation;
  const { style } = output;
  const told = new Map<string, number>();
  const tell = sparing(style);
  const order = new TimeOrder((lines) => {
    for (const line of lines) output.line(line);
  });
  const tellNow = (line: string) => {
    order.flush();
    output.line(line);
  };
  // Workers can give an attempt back many times. Each state is printed once for an attempt.
  const states = new Set<string>();
  return {
    event(event, view) {
      const a = { style, nowMs: clock.nowMs(), attempts: (view.run?.attempts ?? 1) > 1, tell };
      if (event.event === "run" && !isFinalRunState(event.data.state)) {
        const { state, attempts } = event.data;
        const step = `${attempts} ${state}`;
        if (!states.has(step)) tellNow(state);
        states.add(step);
      }
      if (event.event === "artifact" && event.data.body.kind === "progress") {
        const { body, key, title } = event.data;
        const share = body.total ? body.done / body.total : 0;
        if (share >= (told.get(key) ?? 0)) tellNow(progressLine(title || key, body, a.style));
        told.set(key, Math.max(told.get(key) ?? 0, Math.floor(share / PLAIN_STEP) * PLAIN_STEP + PLAIN_STEP));
      }
      order.add(event, (one) => lastingLines(one, a));
    },
    note(lines) {
      for (const line of lines) tellNow(line);
    },
    close: () => order.flush(),
  };
}

/** Prints how a run ended: artifacts, error, state and duration, and the next step if it failed. */
function printEnding(invocation: Invocation, run: Run, view: RunView): void {
  const { output } = invocation;
  const { style } = output;
  for (const artifact of view.artifacts.values()) {
    if (artifact.body.kind === "progress") continue;
    output.line();
    for (const line of artifactLines(artifact, style)) output.line(line);
  }
  output.line();
  if (run.error !== null) {
    output.line(style.red(printable(`${run.error.name}: ${run.error.message}`)));
    for (const line of errorLines(run.error)) output.line(style.dim(printable(line)));
  } else if (run.state !== "completed" && run.cause !== null) {
    output.line(explainCause(run.cause) ?? "");
    if (run.cancelReason) output.line(`Reason: ${printable(run.cancelReason)}`);
  }
  const took = workText(run, { waited: true });
  const result = run.result === null ? "" : style.dim(`  result ${run.result.uri}`);
  output.line(`${describeState(run, style)} ${style.bold(run.deployment)} ${took}${result}`);
  tellNext(output, run);
}

/** An event with the texts of its lines. */
async function openedEvent(
  event: StreamedEvent,
  { opener, runId }: { opener?: StoredOpener; runId: string },
): Promise<StreamedEvent> {
  if (event.event !== "log" || opener === undefined) return event;
  return { ...event, data: [...(await opener.entries(runId, event.data))] };
}

/**
 * Follows a run until it ends: live on a terminal, line by line in a pipe, event by event with `--json`.
 * @returns The ended run.
 */
export async function followRun(
  invocation: Invocation,
  args: {
    client: Client;
    runId: string;
    signal?: AbortSignal | undefined;
    /** Opens what stays in the customer's store. Missing: it is shown as such. */
    opener?: StoredOpener;
  },
): Promise<Run> {
  const { client, signal, opener } = args;
  const params = { runId: args.runId };
  const show = invocation.output.live ? showOnTerminal(invocation) : showInPipe(invocation);
  const about = { client, runId: args.runId, style: invocation.output.style };
  const [releasesOf, waitsOf] = [releaseNotes(about), waitNotes(about)];
  const view = new RunView();
  try {
    for await (const event of client.streamRun({ params }, { signal })) {
      view.apply(event);
      const opened = await openedEvent(event, args);
      const { id: _, ...shape } = opened;
      invocation.output.datum(shape);
      show.event(opened, view);
      show.note([...(await releasesOf(event)), ...(await waitsOf(event))]);
    }
  } finally {
    show.close();
  }
  const run = await client.getRun({ params }, { signal });
  if (opener !== undefined)
    for (const [key, artifact] of view.artifacts)
      view.artifacts.set(key, await opener.artifact(args.runId, artifact));
  printEnding(invocation, run, view);
  return run;
}
