import {
  type Artifact,
  dataTimeText,
  type Json,
  type RunTimes,
  type TaskRun,
  workTimeOf,
} from "@towpath/contract";
import { durationBetween, formatDuration } from "../kernel/duration.ts";
import { timeOfDay } from "../kernel/instant.ts";
import { printable, type Style, tableLines } from "../output.ts";
import { markOf } from "./outcome.ts";
import type { BodyOf, LogEntry } from "./run-view.ts";
import { callLabel, pathLabel } from "./task-groups.ts";

/** A line of Markdown for a terminal. Headings and emphasis become styles. */
export function markdownLine(text: string, style: Style): string {
  const [, heading] = /^#{1,6}\s+(.*)$/.exec(text) ?? [];
  if (heading !== undefined) return style.bold(printable(withoutMarkers(heading)));
  return printable(text)
    .replace(/^(\s*)[-*+] /, "$1• ")
    .replaceAll(/`([^`]+)`/g, (_, code: string) => style.cyan(code))
    .replaceAll(/(\*\*|__)(?=\S)(.+?)(?<=\S)\1/g, (_, __, inner: string) => style.bold(inner))
    .replaceAll(/\[([^\]]+)\]\(([^)\s]+)\)/g, (_, label: string, url: string) => `${label} (${url})`);
}

function withoutMarkers(text: string): string {
  return text.replaceAll(/(\*\*|__|`)(.+?)\1/g, "$2");
}

const BAR_WIDTH = 28;
/** At most this many rows of a table are printed. */
const TABLE_ROWS_MAX = 40;

/** Formats `1234567` as `1,234,567`. */
function formatCount(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 1 });
}

/** A progress bar with percentage and counts. */
export function progressLine(title: string, body: BodyOf<"progress">, style: Style): string {
  const { done, total, unit } = body;
  const label = unit === "" ? "" : ` ${printable(unit)}`;
  if (total === null || total <= 0) return `${printable(title)}  ${formatCount(done)}${label}`;
  const share = Math.min(1, Math.max(0, done / total));
  const filled = Math.round(share * BAR_WIDTH);
  const bar = `${style.cyan("━".repeat(filled))}${style.dim("─".repeat(BAR_WIDTH - filled))}`;
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const counts = style.dim(`${formatCount(done)} / ${formatCount(total)}${label}`);
  return `${printable(title)}  ${bar} ${percent}  ${counts}`;
}

/** One line about a task run. For a running one it shows the time so far. */
export function taskLine(task: TaskRun, args: { style: Style; nowMs: number; mark?: string }): string {
  const { style } = args;
  const { label, depth } = callLabel(task);
  const running = task.endedAt === null && task.startedAt !== null;
  const took = running
    ? formatDuration(Math.max(0, args.nowMs - Date.parse(task.startedAt ?? "")))
    : durationBetween(task.startedAt, task.endedAt);
  const reused = task.reused ? style.dim(`  reused ${task.state === "failed" ? "failure" : "result"}`) : "";
  const tries = task.tries > 1 ? style.yellow(` try ${task.tries}`) : "";
  const error = task.error === null ? "" : style.red(`  ${printable(task.error.message)}`);
  const data = task.dataTime === undefined ? "" : ` (${dataTimeText(task.dataTime)})`;
  const after = took + data;
  const mark = args.mark ?? markOf(task.state, style);
  return `${"  ".repeat(depth)}${mark} ${label}${tries}${reused}${after === "" ? "" : style.dim(`  ${after.trimStart()}`)}${error}`;
}

/** The width of the time before an entry, with the space after it. */
const TIME_WIDTH = 13;
const LEVEL_STYLES = { debug: "dim", info: "bold", warn: "yellow", error: "red" } as const;

/** A log entry. Its further lines are indented, so that none looks like an entry of its own. */
export function logLine(entry: LogEntry, args: { style: Style; attempts: boolean }): string {
  const { style } = args;
  const attempt = args.attempts ? style.dim(`#${entry.attempt} `) : "";
  if (entry.kind === "gap")
    return `${attempt}${style.yellow(`⋯ ${entry.count} lines are missing: ${printable(entry.reason)}`)}`;
  const time = style.dim(timeOfDay(entry.at));
  const plain = entry.stream === "stdout" || entry.level === "info";
  const level = plain ? "" : `${style[LEVEL_STYLES[entry.level]](entry.level)} `;
  const origin = entry.stream === "log" ? "" : style.dim(`${entry.stream} `);
  const task = entry.task === undefined ? "" : style.dim(`[${pathLabel(entry.task)}] `);
  const [first = "", ...rest] = entry.text.split(/\r?\n/).map(printable);
  const below = rest.map((line) => `\n${" ".repeat(TIME_WIDTH)}${line}`).join("");
  return `${attempt}${time} ${origin}${level}${task}${first}${below}`;
}

function cell(value: Json): string {
  if (typeof value === "number") return Number.isInteger(value) ? formatCount(value) : String(round(value));
  return printable(typeof value === "string" ? value : JSON.stringify(value));
}

/** Six significant digits hide the noise of binary fractions. */
function round(value: number): number {
  return Number(value.toPrecision(6));
}

/** An artifact as lines for a terminal. */
export function artifactLines(artifact: Artifact, style: Style): string[] {
  const { body, key } = artifact;
  const title = style.bold(printable(artifact.title || key));
  switch (body.kind) {
    case "table": {
      const rows = body.rows.slice(0, TABLE_ROWS_MAX).map((row) => row.map(cell));
      const more = body.rows.length - rows.length;
      const lines = tableLines({ columns: body.columns.map(printable), rows }, style);
      return [title, ...lines, ...(more > 0 ? [style.dim(`… and ${more} more rows`)] : [])];
    }
    case "markdown":
      return [
        title,
        ...body.text
          .split("\n")
          .slice(0, TABLE_ROWS_MAX)
          .map((line) => markdownLine(line, style)),
      ];
    case "link":
      return [`${title}  ${printable(body.text)} ${style.cyan(printable(body.url))}`];
    case "image":
      return [`${title}  ${style.dim(`${body.mediaType}, shown on the run's page in the dashboard`)}`];
    case "sealed":
      return [`${title}  ${style.dim("sealed")}`];
    case "stored":
      return [`${title}  ${style.dim(`${body.of}, ${formatCount(body.bytes)} bytes in your store`)}`];
    case "progress":
      return [progressLine(artifact.title || key, body, style)];
  }
}

/** Shorter waits are not named, milliseconds. */
const NAMED_WAIT_MS = 1_000;

/** The working time of a run that has ended. With `waited`, also how long it waited between its attempts. */
export function workText(run: RunTimes, { waited = false }: { waited?: boolean } = {}): string {
  const times = run.endedAt === null ? null : workTimeOf(run, 0);
  if (times === null) return "";
  const work = formatDuration(times.workMs);
  if (!waited || times.waitMs < NAMED_WAIT_MS) return work;
  return `${work} of work, waited ${formatDuration(times.waitMs)}`;
}
