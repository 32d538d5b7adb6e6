export {
  artifact,
  type ImageArtifact,
  type LinkArtifact,
  type MarkdownArtifact,
} from "./artifacts/artifact.ts";
export type { Progress, ProgressArtifact } from "./artifacts/progress.ts";
export type { Cell, TableArtifact, TableRow } from "./artifacts/table.ts";
export type { ComputeUse, GpuUse } from "./compute/compute.ts";
export type { Due } from "./engine/context.ts";
export {
  ctx,
  type RefTo,
  type RunContext,
  type RunDeploymentOptions,
  type RunParameters,
} from "./engine/context.ts";
export type { FlowHooks } from "./engine/hooks.ts";
export { type Flow, type FlowOptions, flow, type MainModule } from "./flow.ts";
export type { InputOf, OutputOf, StandardSchema } from "./input/standard-schema.ts";
export type { JobWaitOptions } from "./jobs/await-job.ts";
export { type Job, type JobOptions, type JobStatus, type JobSubmission, job } from "./jobs/job.ts";
export { type AlikeOptions, now, random, uuid } from "./keep/alike.ts";
export { type Logger, type LogLevel, log } from "./logs/log.ts";
export * from "./problem.ts";
export {
  type FakeResource,
  type PlainResourceOptions,
  type Resource,
  type ResourceOptions,
  resource,
} from "./resources/resource.ts";
export { type FromSecret, fromSecret } from "./resources/settings.ts";
export { secret } from "./secrets/secret.ts";
export type { Codec } from "./store/codec.ts";
export { type EventOptions, type InputOptions, type Suspend, suspend } from "./suspend/suspend.ts";
export type { Duration, WaitOptions } from "./suspend/wait-for.ts";
export type { MapOptions, MapRun } from "./task/map.ts";
export type { MapOutcome } from "./task/map-pump.ts";
export type { CacheBy, CacheOptions, TaskOptions } from "./task/options.ts";
export { type ErrorClass, exponential, type RetryDelay, type RetryOptions } from "./task/retry.ts";
export { type Task, task } from "./task/task.ts";
export { type Setup, withSetup } from "./task/with-setup.ts";
export type { DefinedAt } from "./where-defined.ts";
