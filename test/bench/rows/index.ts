import type { Arena } from "../arena.ts";
import type { Row } from "../figures.ts";
import { batchRow } from "./batch.ts";
import { browserRow } from "./browser.ts";
import { devRow, pythonDevRow } from "./dev.ts";
import { dispatchRow } from "./dispatch.ts";
import { feedRow } from "./feed.ts";
import { firstLineRow } from "./first-line.ts";
import { historyRow } from "./history.ts";
import { idleRow } from "./idle.ts";
import { jobsRow } from "./jobs.ts";
import { limitRow } from "./limit.ts";
import { listRow } from "./list.ts";
import { logsRow } from "./logs.ts";
import { loopRow } from "./loop.ts";
import { memoryRow, pythonMemoryRow } from "./memory.ts";
import { overviewRow } from "./overview.ts";
import { runAsRow, sealedRow, signedRefsRow } from "./private.ts";
import { pythonEnvironmentRow } from "./python-environment.ts";
import { pythonColdRow, pythonDataRow, pythonFirstLineRow } from "./python-first-line.ts";
import { pythonImportRow } from "./python-import.ts";
import { pythonMapRow, pythonRunsRow, pythonStepsRow } from "./python-rates.ts";
import { recordsRow } from "./records.ts";
import { redispatchRow } from "./redispatch.ts";
import { pythonResumeRow, resumeRow } from "./resume.ts";
import { schedulesRow } from "./schedules.ts";
import { agentsSlotsRow, dispatchSlotsRow, drainSlotsRow } from "./slots.ts";
import { stepsRow } from "./steps.ts";
import { suspendedRow } from "./suspended.ts";
import { agentsRow, drainRow } from "./throughput.ts";

/** Every row, by the name that `--only` takes, in the order they are printed. */
export const ROWS: Readonly<Record<string, (arena: Arena) => Promise<Row>>> = {
  dispatch: dispatchRow,
  agents: agentsRow,
  drain: drainRow,
  "dispatch-slots": dispatchSlotsRow,
  "agents-slots": agentsSlotsRow,
  "drain-slots": drainSlotsRow,
  idle: idleRow,
  history: historyRow,
  list: listRow,
  overview: overviewRow,
  logs: logsRow,
  "first-line": firstLineRow,
  dev: devRow,
  feed: feedRow,
  records: recordsRow,
  memory: memoryRow,
  resume: resumeRow,
  loop: loopRow,
  steps: stepsRow,
  "python-first-line": pythonFirstLineRow,
  "python-data": pythonDataRow,
  "python-cold": pythonColdRow,
  "python-dev": pythonDevRow,
  "python-steps": pythonStepsRow,
  "python-map": pythonMapRow,
  "python-runs": pythonRunsRow,
  "python-memory": pythonMemoryRow,
  "python-resume": pythonResumeRow,
  "python-import": pythonImportRow,
  "python-environment": pythonEnvironmentRow,
  sealed: sealedRow,
  "signed-refs": signedRefsRow,
  "run-as": runAsRow,
  redispatch: redispatchRow,
  batch: batchRow,
  schedules: schedulesRow,
  limit: limitRow,
  suspended: suspendedRow,
  jobs: jobsRow,
  browser: browserRow,
};
