import { z } from "zod";
import { SourceFault } from "./secret-unavailable.ts";
import type { VaultSource } from "./shapes.ts";
import { type LoginDeps, segments, VaultLogin } from "./vault-login.ts";
import type { VaultAnswer } from "./vault-request.ts";

/** After a Vault did not answer, calls fail at once for this time, milliseconds. */
const DOWN_MS = 5_000;

const Fields = z.record(z.string(), z.unknown());
const Secret = z.object({ lease_duration: z.number().default(0), data: Fields });
/** Version 2 wraps the fields, which are null if this version was deleted. */
const Versioned = z.object({ data: z.object({ data: Fields.nullable() }) });

/** A value, and how long the Vault lets it be used. Null: it does not say. */
export interface VaultValue {
  readonly value: string;
  readonly leaseMs: number | null;
}

/** Reads values of one Vault. */
export class Vault {
  readonly #deps: LoginDeps;
  readonly #login: VaultLogin;
  #down: { readonly fault: SourceFault; readonly untilMs: number } | undefined;

  constructor(deps: LoginDeps) {
    this.#deps = deps;
    this.#login = new VaultLogin(deps);
  }

  /**
   * Reads one field. A refused token is replaced once.
   * @throws SourceFault when the Vault does not answer or refuses, or has no such field, or a credential cannot be read.
   */
  async read(at: VaultSource["vault"]): Promise<VaultValue> {
    const { clock } = this.#deps;
    if (this.#down !== undefined && clock.nowMs() < this.#down.untilMs) throw this.#down.fault;
    try {
      const answer = await this.#ask(at);
      this.#down = undefined;
      return this.#fieldOf(at, answer);
    } catch (error) {
      if (error instanceof SourceFault && error.isOutage)
        this.#down = { fault: error, untilMs: clock.nowMs() + DOWN_MS };
      throw error;
    }
  }

  /** Renews the token in time, so that a token that is seldom used does not end. Nothing is reported. */
  async keepLogin(): Promise<void> {
    await this.#login.token().catch(() => {});
  }

  async #ask(at: VaultSource["vault"]): Promise<VaultAnswer> {
    const path = [at.mount, ...(at.kv === 2 ? ["data"] : []), at.path].map(segments).join("/");
    const token = await this.#login.token();
    const first = await this.#deps.connection.call({ method: "GET", path, token });
    if (first.status !== 403) return first;
    const next = await this.#login.replace(token);
    return next === null ? first : await this.#deps.connection.call({ method: "GET", path, token: next });
  }

  #fieldOf(at: VaultSource["vault"], { status, body }: VaultAnswer): VaultValue {
    const { name } = this.#deps.server;
    if (status === 404) throw missing(name, "the secret");
    if (status === 403)
      throw new SourceFault({
        what: `the Vault "${name}" does not let the worker read it (status 403)`,
        next: `Give the worker's policy the capability "read" on its path, which has /data/ after the mount for KV version 2.`,
      });
    const parsed = Secret.safeParse(body);
    if (status !== 200 || !parsed.success)
      throw new SourceFault({
        what: `the Vault "${name}" gave no secret (status ${status})`,
        next: "Check that the mount is a KV secrets engine, and its version.",
      });
    const versioned = Versioned.safeParse(body);
    if (at.kv === 2 && !versioned.success)
      throw new SourceFault({
        what: `the Vault "${name}" answered with no secret of KV version 2`,
        next: 'Set "kv": 1 if the mount has version 1.',
      });
    const fields = at.kv === 1 ? parsed.data.data : (versioned.data?.data.data ?? {});
    const value = Object.hasOwn(fields, at.field) ? fields[at.field] : undefined;
    if (value === undefined || value === null || value === "") throw missing(name, "the field");
    const { lease_duration } = parsed.data;
    return {
      value: typeof value === "string" ? value : JSON.stringify(value),
      leaseMs: lease_duration > 0 ? lease_duration * 1000 : null,
    };
  }
}

function missing(name: string, what: string): SourceFault {
  return new SourceFault({
    what: `the Vault "${name}" does not have ${what} that the worker's configuration names`,
    next: 'Write it there, or correct "mount", "path", "field" and "kv" of this source.',
    isMissing: true,
  });
}
