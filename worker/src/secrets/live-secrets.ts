import type { Logger } from "pino";
import { ConfigError, loadConfig, type WorkerConfig } from "../config.ts";
import type { Sleep } from "../host/index.ts";
import { resolvableSecrets, resolveSecrets } from "./providers.ts";
import { SecretUnavailable } from "./secret-unavailable.ts";

/** The interval at which the worker reads its configuration's secrets again, milliseconds. */
const LOOK_MS = 2_000;

/**
 * The worker's secrets. It reads the sources in its configuration again while it runs, so that a new secret needs no
 * restart.
 */
export class LiveSecrets {
  readonly #log: Logger;
  readonly #config: Pick<WorkerConfig, "environment" | "external" | "file" | "startedBy">;
  #sources: WorkerConfig["secrets"];
  #fault = "";
  #reported = "";

  constructor(
    deps: { readonly log: Logger },
    config: Pick<WorkerConfig, "secrets" | "environment" | "external" | "file" | "startedBy">,
  ) {
    this.#log = deps.log;
    this.#config = config;
    this.#sources = config.secrets;
  }

  /**
   * Resolves secrets. If one is missing, the configuration is read again first.
   * @throws as `resolveSecrets`.
   */
  async resolve(names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    try {
      return await resolveSecrets(this.#providers, names);
    } catch (error) {
      if (!(error instanceof SecretUnavailable) || !(await this.#reload())) throw error;
      return await resolveSecrets(this.#providers, names);
    }
  }

  /** What the worker reports: the secrets that have a value now. */
  async report(): Promise<string[]> {
    const names = await resolvableSecrets(this.#providers);
    this.#reported = names.join();
    return names;
  }

  /** Reads the configuration again. @returns whether the last report is no longer true. */
  async isReportStale(): Promise<boolean> {
    await this.#reload();
    const names = await resolvableSecrets(this.#providers);
    return names.join() !== this.#reported;
  }

  get #providers() {
    const { environment, external, startedBy } = this.#config;
    return { secrets: this.#sources, environment, external, startedBy };
  }

  /** @returns whether a source was added, changed or removed. A faulty file changes nothing. */
  async #reload(): Promise<boolean> {
    const { file, environment } = this.#config;
    if (file === null) return false;
    try {
      const { secrets } = await loadConfig({ file, environment });
      this.#fault = "";
      if (JSON.stringify(secrets) === JSON.stringify(this.#sources)) return false;
      this.#sources = secrets;
      this.#log.info({ secrets: Object.keys(secrets) }, "the secrets of the configuration have changed");
      return true;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      if (this.#fault !== error.message)
        this.#log.warn(
          `The configuration cannot be read again: ${error.message} The worker keeps its earlier secrets.`,
        );
      this.#fault = error.message;
      return false;
    }
  }
}

/** Calls back whenever other secrets have a value than the worker has reported. Repeats this until stopped. */
export function watchSecrets(
  deps: { log: Logger; sleep: Sleep },
  args: { secrets: LiveSecrets; changed: () => Promise<void> },
): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const running = (async () => {
    while (!stopping.signal.aborted) {
      // The wait is cut short when the worker stops.
      await deps.sleep(LOOK_MS, stopping.signal).catch(() => {});
      if (stopping.signal.aborted) return;
      try {
        if (await args.secrets.isReportStale()) await args.changed();
      } catch (error) {
        deps.log.debug({ error: String(error) }, "changed secrets are reported later");
      }
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
