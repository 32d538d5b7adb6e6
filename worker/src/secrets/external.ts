import { bootTimeClock, type Clock } from "../host/index.ts";
import { readPlain } from "./plain.ts";
import { runCommand } from "./run-command.ts";
import { SecretUnavailable, SourceFault } from "./secret-unavailable.ts";
import type { ExecSource, LocalSource, VaultServer, VaultSource } from "./shapes.ts";
import { Vault } from "./vault.ts";
import { VaultConnection } from "./vault-request.ts";

/** How long a fault counts before the source is asked again, milliseconds. */
const FAULT_MS = 5_000;
/** The most values that are kept. */
const HELD_MAX = 1_000;

/** A value or a fault until some time, on the boot-time clock. */
interface Held {
  readonly untilMs: number;
  readonly outcome: { readonly value: string } | { readonly fault: unknown };
}

/** Reads secrets from commands and Vaults. It keeps each value for the time that its source states, and logins for as long as they last. */
export class ExternalSources {
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();
  readonly #reading = new Map<string, Promise<string>>();
  readonly #vaults = new Map<string, Vault>();

  constructor(args: { environment: Readonly<Record<string, string | undefined>>; clock?: Clock }) {
    this.#environment = args.environment;
    this.#clock = args.clock ?? bootTimeClock();
  }

  /** @throws SourceFault */
  async read(source: ExecSource | VaultSource): Promise<string> {
    const key = JSON.stringify(source);
    const held = this.#held.get(key);
    if (held !== undefined && this.#clock.nowMs() < held.untilMs) {
      // The worker reads its secrets regularly, so this keeps the token alive.
      if ("vault" in source && "value" in held.outcome) void this.#vaultOf(source.vault.server).keepLogin();
      if ("fault" in held.outcome) throw held.outcome.fault;
      return held.outcome.value;
    }
    const reading = this.#reading.get(key) ?? this.#readNow(key, source);
    this.#reading.set(key, reading);
    return await reading;
  }

  async #readNow(key: string, source: ExecSource | VaultSource): Promise<string> {
    const beganMs = this.#clock.nowMs();
    try {
      const { value, forMs } = await this.#ask(source);
      this.#hold(key, { untilMs: beganMs + forMs, outcome: { value } });
      return value;
    } catch (fault) {
      this.#hold(key, { untilMs: this.#clock.nowMs() + FAULT_MS, outcome: { fault } });
      throw fault;
    } finally {
      this.#reading.delete(key);
    }
  }

  async #ask(source: ExecSource | VaultSource): Promise<{ value: string; forMs: number }> {
    if ("exec" in source)
      return { value: await runCommand(source, this.#environment), forMs: source.exec.cacheMs };
    const { cacheMs, server } = source.vault;
    const { value, leaseMs } = await this.#vaultOf(server).read(source.vault);
    return { value, forMs: Math.min(cacheMs, leaseMs ?? cacheMs) };
  }

  /** Values of earlier configurations go first: the map keeps the order in which they came. */
  #hold(key: string, held: Held): void {
    this.#held.delete(key);
    this.#held.set(key, held);
    const [oldest] = this.#held.keys();
    if (this.#held.size > HELD_MAX && oldest !== undefined) this.#held.delete(oldest);
  }

  #vaultOf(server: VaultServer): Vault {
    const key = JSON.stringify(server);
    const found = this.#vaults.get(key);
    if (found !== undefined) return found;
    const vault = new Vault({
      connection: new VaultConnection(this.#environment, server),
      clock: this.#clock,
      server,
      credential: async (what, source) => await this.#credential(server, what, source),
    });
    this.#vaults.set(key, vault);
    return vault;
  }

  /** A login reads its credentials anew, so that a rotated one is used. A missing one says nothing of the secret itself. */
  async #credential(server: VaultServer, what: string, source: LocalSource): Promise<string> {
    const name = `the ${what} of the Vault "${server.name}"`;
    const noLogin = `the worker cannot log in to the Vault "${server.name}"`;
    try {
      if ("exec" in source) return await runCommand(source, this.#environment);
      return await readPlain(this.#environment, { name, source });
    } catch (cause) {
      if (cause instanceof SecretUnavailable)
        throw new SourceFault({ what: noLogin, next: cause.message, cause });
      if (cause instanceof SourceFault)
        throw new SourceFault({ what: `${noLogin}: of ${name}, ${cause.what}`, next: cause.next, cause });
      throw cause;
    }
  }
}
