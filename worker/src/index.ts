export {
  ConfigError,
  type ConfigSource,
  checkSettings,
  loadConfig,
  type RegistryConfig,
  type SecretSource,
  type WorkerConfig,
  type WorkerSettings,
} from "./config.ts";
export { type RunningWorker, startWorker, type WorkerDeps } from "./worker.ts";
