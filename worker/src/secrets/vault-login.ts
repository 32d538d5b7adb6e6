import { z } from "zod";
import type { Clock } from "../host/index.ts";
import { SourceFault } from "./secret-unavailable.ts";
import type { LocalSource, VaultServer } from "./shapes.ts";
import type { VaultAnswer, VaultConnection } from "./vault-request.ts";

/** A token is renewed when less than this part of its time is left. */
const RENEW_PART = 1 / 3;
/** A token that was just obtained and is refused is not replaced again at once, milliseconds. */
const AGAIN_MS = 5_000;

const Auth = z.object({
  auth: z.object({ client_token: z.string().min(1), lease_duration: z.number(), renewable: z.boolean() }),
});
const Lookup = z.object({ data: z.object({ ttl: z.number(), renewable: z.boolean().default(false) }) });

interface Token {
  readonly value: string;
  readonly gotAtMs: number;
  /** Null: it does not end. */
  readonly leaseMs: number | null;
  readonly isRenewable: boolean;
}

/** What a login needs. */
export interface LoginDeps {
  readonly connection: VaultConnection;
  readonly clock: Clock;
  readonly server: VaultServer;
  /** Reads a credential of the Vault. @throws SourceFault */
  readonly credential: (what: string, source: LocalSource) => Promise<string>;
}

/** The worker's token of one Vault: obtained at the first call, renewed while it is used, and replaced when it is refused. */
export class VaultLogin {
  readonly #deps: LoginDeps;
  #token: Token | undefined;
  #working: Promise<Token> | undefined;

  constructor(deps: LoginDeps) {
    this.#deps = deps;
  }

  /** @throws SourceFault */
  async token(): Promise<string> {
    const left = this.#timeLeft();
    if (left !== null && left > RENEW_PART && this.#token !== undefined) return this.#token.value;
    return (await this.#once(() => this.#fresh(left))).value;
  }

  /** The token was refused. @returns another one, or null if it is too early to ask for one. */
  async replace(refused: string): Promise<string | null> {
    if (this.#token?.value === refused) {
      if (this.#deps.clock.nowMs() - this.#token.gotAtMs < AGAIN_MS) return null;
      this.#token = undefined;
    }
    const next = await this.token();
    return next === refused ? null : next;
  }

  /** All callers share one exchange. */
  async #once(work: () => Promise<Token>): Promise<Token> {
    this.#working ??= work().finally(() => {
      this.#working = undefined;
    });
    const token = await this.#working;
    this.#token = token;
    return token;
  }

  /** The part of the token's time that is left, or null if there is no token or its time is over. */
  #timeLeft(): number | null {
    if (this.#token === undefined) return null;
    const { leaseMs, gotAtMs } = this.#token;
    if (leaseMs === null) return 1;
    const left = 1 - (this.#deps.clock.nowMs() - gotAtMs) / leaseMs;
    return left > 0 ? left : null;
  }

  async #fresh(left: number | null): Promise<Token> {
    const renewed = left !== null && this.#token?.isRenewable ? await this.#renew(this.#token) : null;
    if (renewed !== null) return renewed;
    const { server } = this.#deps;
    if (server.auth.method !== "token") return await this.#logIn(server.auth);
    return await this.#given(server.auth.token);
  }

  /** Null: it was not renewed, or is close to the longest time that the Vault grants. */
  async #renew(token: Token): Promise<Token | null> {
    const gotAtMs = this.#deps.clock.nowMs();
    const answer = await this.#deps.connection
      .call({ method: "POST", path: "auth/token/renew-self", token: token.value, body: {} })
      .catch(() => null);
    const parsed = Auth.safeParse(answer?.body);
    if (!parsed.success) return null;
    const { lease_duration, renewable } = parsed.data.auth;
    const next = { ...token, gotAtMs, leaseMs: lease_duration * 1000, isRenewable: renewable };
    const isShort = token.leaseMs !== null && next.leaseMs <= token.leaseMs * (1 - RENEW_PART);
    return isShort && this.#deps.server.auth.method !== "token" ? null : next;
  }

  async #logIn(auth: Exclude<VaultServer["auth"], { method: "token" }>): Promise<Token> {
    const { credential, connection, clock } = this.#deps;
    const body =
      auth.method === "approle"
        ? {
            role_id: await credential("role id", auth.roleId),
            secret_id: await credential("secret id", auth.secretId),
          }
        : { role: auth.role, jwt: (await credential("service account's token", auth.token)).trim() };
    const gotAtMs = clock.nowMs();
    const path = `auth/${segments(auth.mount)}/login`;
    const answer = await connection.call({ method: "POST", path, body });
    const parsed = Auth.safeParse(answer.body);
    if (answer.status !== 200 || !parsed.success) throw this.#refused(answer);
    const { client_token, lease_duration, renewable } = parsed.data.auth;
    return { value: client_token, gotAtMs, leaseMs: leaseOf(lease_duration), isRenewable: renewable };
  }

  /** A token that the configuration gives. How long it lasts is asked. */
  async #given(source: LocalSource): Promise<Token> {
    const value = (await this.#deps.credential("token", source)).trim();
    const gotAtMs = this.#deps.clock.nowMs();
    const call = { method: "GET", path: "auth/token/lookup-self", token: value } as const;
    const answer = await this.#deps.connection.call(call);
    const parsed = Lookup.safeParse(answer.body);
    if (answer.status !== 200 || !parsed.success) throw this.#refused(answer);
    const { ttl, renewable } = parsed.data.data;
    return { value, gotAtMs, leaseMs: leaseOf(ttl), isRenewable: renewable };
  }

  #refused({ status }: VaultAnswer): SourceFault {
    const { name, auth } = this.#deps.server;
    return new SourceFault({
      what: `the Vault "${name}" refused the login of the worker (method ${auth.method}, status ${status})`,
      next: `Check vaults.${name}.auth and its credentials: they may have expired.`,
    });
  }
}

const leaseOf = (seconds: number) => (seconds > 0 ? seconds * 1000 : null);

/** A path of a Vault's API, each segment encoded. */
export function segments(path: string): string {
  return path
    .split("/")
    .filter((one) => one !== "")
    .map(encodeURIComponent)
    .join("/");
}
