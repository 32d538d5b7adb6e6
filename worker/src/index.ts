export { COMPUTE_VARIABLES } from "./compute/index.ts";
export {
  ConfigError,
  type ConfigSource,
  checkSettings,
  loadConfig,
  type RegistryConfig,
  type SecretSource,
  type WorkerConfig,
} from "./config.ts";
export { Settings, type WorkerSettings } from "./settings.ts";
export { type RunningWorker, startWorker, type WorkerDeps } from "./worker.ts";
