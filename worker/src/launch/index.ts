export { decideEnding, type Ending, type FlowOutcome, STOPS, type StopReason } from "./ending.ts";
export {
  aheadEnvironment,
  allowedEnvironment,
  attemptEnvironment,
  signedEnvironment,
} from "./environment.ts";
export { lastOutput } from "./last-error.ts";
export { lineLevel } from "./line-level.ts";
export type { OutputLine } from "./lines.ts";
export { cutToBytes, markCut } from "./lines.ts";
export { type AheadVersion, type BroughtVersion, packagesIn } from "./loaded-runner.ts";
export { type OomWatch, watchOom } from "./oom.ts";
export type { CommandExit } from "./run-command.ts";
export type { NumberedAnswer, RunnerTask } from "./runner-message.ts";
export { LaunchError } from "./runner-message.ts";
export { createRunnerPool, type RunnerPool, type TakenRunner } from "./runner-pool.ts";
export { type ExitStatus, markPrefix, type RunnerProcess } from "./runner-process.ts";
export { NODE, programFiles, programFolders, type RunnerProgram } from "./runner-program.ts";
export { startTail, type Tail } from "./tail.ts";
