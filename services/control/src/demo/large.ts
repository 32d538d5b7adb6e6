import type { ArtifactBody, LogLine } from "@towpath/contract";
import { type EndedArtifact, insertArtifacts, insertLogs } from "./ended-logs.ts";
import { type EndedAttempt, type EndedRun, type EndedTask, insertEnded } from "./ended-runs.ts";
import type { Failure } from "./flow.ts";
import type { DemoContext } from "./history.ts";
import { Random } from "./random.ts";
import type { DemoTarget } from "./target.ts";
import { errorOf } from "./tasks.ts";

const HOUR_MS = 3_600_000;
/** The most lines in one transaction. */
const LINES_AT_ONCE = 20_000;

/** The three causes of the failures in the run with many pictures. */
const PICTURE_FAILURES: readonly Failure[] = [
  {
    perMille: 11,
    task: "resize-images",
    cause: "error",
    name: "UnsupportedFormat",
    message: (random) =>
      `product ${random.whole(100_000, 999_999)}: cannot read a HEIC picture of ${random.whole(2, 9)} MiB`,
    frames: [
      "at decode (flows/catalogue/pictures.ts:83:13)",
      "at resize (flows/catalogue/pictures.ts:41:24)",
    ],
  },
  {
    perMille: 5,
    task: "resize-images",
    cause: "error",
    name: "HttpError",
    message: (random) => `GET /originals/${random.hex(12)} answered 404`,
    frames: ["at original (flows/catalogue/store.ts:29:11)", "at resize (flows/catalogue/pictures.ts:38:20)"],
  },
  {
    perMille: 2,
    task: "resize-images",
    cause: "error",
    name: "RangeError",
    message: (random) => `width ${random.whole(9_000, 30_000)} is over 8192`,
    frames: ["at fit (flows/catalogue/pictures.ts:57:11)", "at resize (flows/catalogue/pictures.ts:44:16)"],
  },
];

/** A run with one given attempt. */
function runOf(args: {
  id: string;
  attempt: EndedAttempt;
  context: DemoContext;
  state: "completed" | "failed";
  parameters: EndedRun["parameters"];
  name: string;
}): EndedRun {
  const { attempt } = args;
  const version = args.context.versions.at(-1);
  if (version === undefined) throw new RangeError("the flow has no version");
  const failed = args.state === "failed";
  return {
    id: args.id,
    version,
    trigger: { kind: "person", name: args.name },
    tags: [],
    priority: 0,
    parameters: args.parameters,
    state: args.state,
    cause: failed ? "error" : null,
    cancelReason: null,
    error: attempt.tasks.findLast((task) => task.error !== null)?.error ?? null,
    createdAt: attempt.createdAt,
    scheduledAt: attempt.createdAt,
    startedAt: attempt.startedAt,
    endedAt: attempt.endedAt,
    attempts: [attempt],
  };
}

function attemptOf(args: {
  random: Random;
  context: DemoContext;
  startMs: number;
  endMs: number;
  state: "completed" | "failed";
  tasks: readonly EndedTask[];
  lines: number;
}): EndedAttempt {
  const worker = args.random.pick(args.context.workers);
  return {
    id: args.random.id(args.startMs),
    ordinal: 1,
    state: args.state,
    cause: args.state === "failed" ? "error" : null,
    workerId: worker.id,
    workerName: worker.name,
    exitCode: args.state === "failed" ? 1 : 0,
    lines: args.lines,
    createdAt: new Date(args.startMs - 140),
    claimedAt: new Date(args.startMs - 90),
    startedAt: new Date(args.startMs),
    endedAt: new Date(args.endMs),
    tasks: args.tasks,
  };
}

/** One call for each product, sixteen in parallel. */
function mapped(
  random: Random,
  args: { count: number; startMs: number },
): { tasks: EndedTask[]; endMs: number } {
  const free = Array.from({ length: 16 }, () => args.startMs + 1_500);
  const tasks = Array.from({ length: args.count }, (_, index): EndedTask => {
    const lane = free.indexOf(Math.min(...free));
    const beginMs = free[lane] ?? args.startMs;
    const endMs = beginMs + random.about(1_700, 0.5);
    free[lane] = endMs + 3;
    const drawn = random.next() * 1_000;
    const failure =
      drawn < 11
        ? PICTURE_FAILURES[0]
        : drawn < 16
          ? PICTURE_FAILURES[1]
          : drawn < 18
            ? PICTURE_FAILURES[2]
            : undefined;
    return {
      path: `resize-images:${index}`,
      name: "resize-images",
      ord: index + 2,
      state: failure ? "failed" : "completed",
      tries: failure ? 3 : 1,
      error: failure ? errorOf(failure, random) : null,
      upstream: { paths: ["list-products"] },
      createdAt: new Date(args.startMs + 1_400),
      startedAt: new Date(beginMs),
      endedAt: new Date(endMs),
    };
  });
  const listed: EndedTask = {
    path: "list-products",
    name: "list-products",
    ord: 1,
    state: "completed",
    tries: 1,
    error: null,
    upstream: null,
    createdAt: new Date(args.startMs),
    startedAt: new Date(args.startMs + 5),
    endedAt: new Date(args.startMs + 1_390),
  };
  return { tasks: [listed, ...tasks], endMs: Math.max(...free) + 40 };
}

/** Writes a run that maps one task over many items, some of which fail. @returns its id */
export async function makeWideRun(target: DemoTarget, context: DemoContext): Promise<string> {
  const { deps, workspaceId, extent } = target;
  const random = Random.of(target.seed, "wide");
  const startMs = target.nowMs - 2.6 * HOUR_MS;
  const { tasks, endMs } = mapped(random, { count: extent.mappedTasks, startMs });
  const logLine = (text: string, ms: number, level: LogLine["level"] = "info"): LogLine => ({
    at: new Date(ms).toISOString(),
    level,
    stream: "log",
    text,
  });
  const failures = tasks.filter((task) => task.error !== null);
  const lines = [
    logLine(`${extent.mappedTasks.toLocaleString("en")} products changed since 2026-W46`, startMs + 1_380),
    ...failures.map((task) => ({
      ...logLine(`${task.error?.name}: ${task.error?.message}`, task.endedAt.getTime(), "error"),
      task: task.path,
    })),
    logLine(
      `${failures.length} of ${extent.mappedTasks.toLocaleString("en")} pictures failed; at most 1 % may fail`,
      endMs - 20,
      "error",
    ),
  ].toSorted((a, b) => (a.at < b.at ? -1 : 1));
  const attempt = attemptOf({ random, context, startMs, endMs, state: "failed", tasks, lines: lines.length });
  const id = random.id(startMs - 200);
  const run = runOf({ id, attempt, context, state: "failed", parameters: {}, name: "grace" });
  await insertEnded(deps, { workspaceId, runs: [run], changesSince: new Date(startMs) });
  await insertLogs(deps, { workspaceId, logs: [{ attemptId: attempt.id, lines }] });
  return id;
}

const VERBS = ["read", "parsed", "joined", "sessionised", "wrote", "skipped", "merged"] as const;
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;

function clickLine(random: Random, args: { index: number; atMs: number; count: number }): LogLine {
  const day = DAYS[Math.floor((args.index / args.count) * DAYS.length)] ?? "sun";
  const at = new Date(args.atMs).toISOString();
  const own = { at, stream: "log" as const, task: `replay-day:${day}` };
  const drawn = random.next();
  if (drawn < 0.0004)
    return {
      ...own,
      level: "error",
      text: `part ${random.hex(8)} is damaged: checksum ${random.hex(8)} is not ${random.hex(8)}; read again`,
    };
  if (drawn < 0.004)
    return { ...own, level: "warn", text: `part ${random.hex(8)} came late by ${random.whole(2, 90)} min` };
  if (drawn < 0.01)
    return {
      ...own,
      stream: "stdout",
      level: "info",
      text: `\u001b[32m✓\u001b[0m checkpoint ${args.index} of \u001b[1m${day}\u001b[0m`,
    };
  const level = drawn < 0.3 ? "debug" : "info";
  return {
    ...own,
    level,
    text: `${random.pick(VERBS)} part ${random.hex(8)}: ${random.whole(900, 64_000)} clicks in ${random.whole(3, 220)} ms`,
  };
}

/** Writes a run with a very long log. @returns its id */
export async function makeLongLog(target: DemoTarget, context: DemoContext): Promise<string> {
  const { deps, workspaceId, extent } = target;
  const random = Random.of(target.seed, "long");
  const startMs = target.nowMs - 9 * HOUR_MS;
  const endMs = startMs + 1.6 * HOUR_MS;
  const step = (endMs - startMs) / DAYS.length;
  const tasks = DAYS.map(
    (day, index): EndedTask => ({
      path: `replay-day:${day}`,
      name: "replay-day",
      ord: index + 1,
      state: "completed",
      tries: 1,
      error: null,
      upstream: null,
      createdAt: new Date(startMs),
      startedAt: new Date(startMs + index * step),
      endedAt: new Date(startMs + (index + 1) * step),
    }),
  );
  const attempt = attemptOf({
    random,
    context,
    startMs,
    endMs,
    state: "completed",
    tasks,
    lines: extent.logLines,
  });
  const id = random.id(startMs - 200);
  const run = runOf({
    id,
    attempt,
    context,
    state: "completed",
    parameters: { week: "2026-W46" },
    name: "ada",
  });
  await insertEnded(deps, { workspaceId, runs: [run], changesSince: new Date(startMs) });
  for (let from = 0; from < extent.logLines; from += LINES_AT_ONCE) {
    const count = Math.min(LINES_AT_ONCE, extent.logLines - from);
    const lines = Array.from({ length: count }, (_, offset) => {
      const index = from + offset;
      const atMs = startMs + ((endMs - startMs) * index) / extent.logLines;
      return clickLine(random, { index, atMs, count: extent.logLines });
    });
    await insertLogs(deps, { workspaceId, logs: [{ attemptId: attempt.id, lines, firstLine: from }] });
  }
  await insertArtifacts(deps, {
    workspaceId,
    artifacts: replayArtifacts({ attempt, id, extent: extent.logLines }),
  });
  return id;
}

/** The share of each day in the lines of the week. It makes the picture look like traffic. */
const DAY_SHARES = [0.16, 0.17, 0.17, 0.16, 0.15, 0.1, 0.09];

/** A bar chart of the week as SVG. */
function weekPicture(perDay: readonly number[]): string {
  const most = Math.max(...perDay, 1);
  const bars = perDay.map((count, day) => {
    const height = Math.round((90 * count) / most);
    return `<rect x="${10 + day * 40}" y="${100 - height}" width="28" height="${height}" rx="3" fill="#4f7d8c"/><text x="${24 + day * 40}" y="114" font-size="10" font-family="sans-serif" fill="#7a7a7a" text-anchor="middle">${DAYS[day] ?? ""}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 290 120" width="290" height="120">${bars.join("")}</svg>`;
}

/** One artifact of each kind. */
function replayArtifacts(args: { attempt: EndedAttempt; id: string; extent: number }): EndedArtifact[] {
  const { attempt, id, extent } = args;
  const perDay = DAY_SHARES.map((share) => Math.round(extent * share));
  const text = `**Week 46 is replayed.** ${DAYS.length} days, ${extent.toLocaleString("en")} lines of log, no part missing.`;
  const rows = DAYS.map((day, index) => [day, perDay[index] ?? 0, index % 3 === 2 ? "late" : "on time"]);
  const bodies: [key: string, title: string, body: ArtifactBody][] = [
    ["summary", "Summary", { kind: "markdown", text }],
    [
      "traffic",
      "Traffic",
      {
        kind: "image",
        mediaType: "image/svg+xml",
        base64: Buffer.from(weekPicture(perDay)).toString("base64"),
      },
    ],
    ["replayed", "Days replayed", { kind: "progress", done: DAYS.length, total: DAYS.length, unit: "days" }],
    [
      "board",
      "Dashboard of the week",
      { kind: "link", url: "https://bi.example.com/clicks/2026-W46", text: "Clicks, week 46" },
    ],
    ["days", "Lines per day", { kind: "table", columns: ["day", "lines", "arrived"], rows }],
  ];
  return bodies.map(([key, title, body], index) => ({
    attemptId: attempt.id,
    runId: id,
    at: new Date(attempt.endedAt.getTime() - (bodies.length - index)),
    task: null,
    key,
    title,
    body,
  }));
}
