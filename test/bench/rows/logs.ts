import { LIMITS, LOG_LEVELS, type LogLine } from "@towpath/contract";
import type { Agent } from "../agent.ts";
import { type Arena, sized } from "../arena.ts";
import { median, type Row } from "../figures.ts";

/** Records of one report. */
const RECORDS = 10;
const NEEDLE = "the one line that nobody else has";

/** A line such as loops write: of a few forms, with numbers in them, about a hundred characters long. */
function lineOf(n: number, last: number): LogLine {
  const level = LOG_LEVELS[n % 997 === 0 ? 3 : n % 71 === 0 ? 2 : n % 3 === 0 ? 0 : 1] ?? "info";
  const at = new Date(Date.UTC(2026, 0, 1) + n * 7).toISOString();
  const text =
    n === Math.floor(last * 0.77)
      ? NEEDLE
      : `part ${n} of ${last}: GET /api/readings/${(n * 2_654_435_761) % 4_294_967_296}?page=${n % 500} took ${(n * 7_919) % 1_000} ms`;
  return { at, level, stream: "log", text };
}

/** Has an agent report a log. @returns how long that took, milliseconds */
async function write(
  agent: Agent,
  args: { fence: Parameters<Agent["log"]>[0]; lines: number },
): Promise<number> {
  const startMs = performance.now();
  const chunk = Math.min(LIMITS.logLines, args.lines / RECORDS);
  for (let first = 0, seq = 1; first < args.lines; first += chunk * RECORDS, seq += RECORDS) {
    const records = Array.from({ length: RECORDS }, (_, record) => {
      const firstLine = first + record * chunk;
      const lines = Array.from({ length: chunk }, (_, line) => lineOf(firstLine + line, args.lines));
      return { seq: seq + record, type: "log" as const, firstLine, lines };
    });
    await agent.log(args.fence, records);
  }
  return performance.now() - startMs;
}

/** Windows and searches of one long log, over HTTP, as its page asks for them. */
export async function logsRow(arena: Arena): Promise<Row> {
  const lines = sized(arena, { tiny: 2_000, quick: 1_000_000, full: 1_000_000 });
  const samples = sized(arena, { tiny: 1, quick: 11, full: 31 });
  const lane = await arena.lane();
  const agent = await lane.agent();
  await lane.enqueue();
  const { assignments } = await agent.claim({ free: 1 });
  const [fence] = assignments;
  if (fence === undefined) throw new Error("The agent was given nothing to do.");
  await agent.start([fence]);
  const writtenMs = await write(agent, { fence, lines });
  await agent.end([fence]);
  const params = { runId: fence.runId };
  const { client } = arena.stack;
  const find = (text: string) => () => client.searchLogs({ params, query: { text } });
  const look = (query: object) => () => client.getLogWindow({ params, query });
  const asked = {
    "text of one line": find(NEEDLE),
    "text of many lines": find("took 7"),
    "text of every line": find("e"),
    "text of none": find("nothing like this"),
    "first rows": look({ row: 0 }),
    "rows in the middle": look({ row: Math.floor(lines / 2) }),
    "last rows": look({}),
    "around a line": look({ at: `1:${Math.floor(lines * 0.77)}` }),
    "errors alone, from the middle": look({ row: Math.floor(lines / 997 / 2), levels: "error" }),
  };
  const ours: Record<string, number> = {};
  for (const [name, ask] of Object.entries(asked)) {
    const took: number[] = [];
    for (let index = 0; index < samples; index++) {
      const startMs = performance.now();
      await ask();
      took.push(performance.now() - startMs);
    }
    ours[name] = median(took);
  }
  return {
    row: "logs",
    unit: "ms",
    ours: { ...ours, "writing it": writtenMs },
    peers: {},
    ratio: Math.max(...Object.values(ours)) / 500,
    aim: "at most 1: no search and no window over 500 ms",
    how: `One log of ${lines} lines, written by a worker in records of ${Math.min(LIMITS.logLines, lines / RECORDS)}, windows of 200 rows, median of ${samples}.`,
  };
}
