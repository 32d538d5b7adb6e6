import { z } from "zod";
import { faultOf, isOk, readJson } from "./answers.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { RegistryFault } from "./fault.ts";
import type { RegistryAnswer, RegistryCall, RegistryHttp } from "./http.ts";

/** An OCI repository, and the login for it. */
export interface OciAccess {
  /** The registry's origin and the repository: `https://registry.internal/data/flows`. */
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** The token endpoint, if it is on another origin than the registry. */
  readonly tokenUrl?: string | undefined;
}

const TOKEN_BYTES = 64 * 1024;
const VISIBLE = /^[\x21-\x7e]+$/;
const Token = z.object({ token: z.string().optional(), access_token: z.string().optional() });

/** The value of `Authorization` for basic authentication. Null without a login. */
export function basicOf({ username, password }: Pick<OciAccess, "username" | "password">): string | null {
  if (username === undefined && password === undefined) return null;
  return `Basic ${Buffer.from(`${username ?? ""}:${password ?? ""}`).toString("base64")}`;
}

/**
 * Sends requests with the login that the registry asks for: Basic, or a token for this repository and these actions alone.
 * @param scope What the token may do: `repository:data/flows:pull`.
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export class OciSession {
  readonly http: RegistryHttp;
  readonly #access: OciAccess;
  readonly #scope: string;
  #authorization: string | null = null;

  constructor(http: RegistryHttp, { access, scope }: { access: OciAccess; scope: string }) {
    this.http = http;
    this.#access = access;
    this.#scope = scope;
  }

  /**
   * Sends a request, and once more with a login if the registry asks for one.
   * @throws RegistryFault.
   */
  async send(call: RegistryCall): Promise<RegistryAnswer> {
    const answer = await this.http.send({ ...call, authorization: this.#authorization });
    // Only the registry itself may ask for a login, not the host of a redirect.
    if (answer.status !== 401 || new URL(answer.url).origin !== this.http.origin) return answer;
    const authorization = await this.#answerTo(parseChallenges(answer.headers("www-authenticate")));
    if (authorization === null) return answer;
    answer.discard();
    this.#authorization = authorization;
    return await this.http.send({ ...call, authorization });
  }

  async #answerTo(challenges: readonly Challenge[]): Promise<string | null> {
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    if (bearer !== undefined) return `Bearer ${await this.#token(bearer)}`;
    return challenges.some(({ scheme }) => scheme === "basic") ? basicOf(this.#access) : null;
  }

  async #token({ parameters }: Challenge): Promise<string> {
    const url = this.#tokenEndpoint(parameters.get("realm") ?? "");
    const service = parameters.get("service");
    if (service !== undefined) url.searchParams.set("service", service);
    // The registry's own wish for a scope is not passed on: the token must not allow more than this.
    url.searchParams.set("scope", this.#scope);
    const authorization = basicOf(this.#access);
    const answer = await this.http.sendTo(url, authorization);
    if (!isOk(answer.status)) throw await faultOf(answer, "a token");
    const { token, access_token } = await readJson(answer, { shape: Token, mostBytes: TOKEN_BYTES });
    const found = token ?? access_token;
    if (found === undefined || !VISIBLE.test(found))
      throw new RegistryFault("bad-answer", "The token endpoint of the code registry returned no token.", {
        detail: url.host,
      });
    return found;
  }

  /** The address that gets the login: on the registry's own origin, or the one of the configuration. */
  #tokenEndpoint(realm: string): URL {
    const url = URL.canParse(realm) ? new URL(realm) : null;
    if (url === null || !/^https?:$/.test(url.protocol))
      throw new RegistryFault(
        "bad-answer",
        "The code registry asks for a token and names no address for it.",
      );
    const { tokenUrl } = this.#access;
    const given = tokenUrl === undefined ? null : new URL(tokenUrl);
    const isGiven = given !== null && given.origin === url.origin && given.pathname === url.pathname;
    if (url.username === "" && url.password === "" && (isGiven || url.origin === this.http.origin))
      return url;
    const message =
      'The code registry asks for a token from another address, which gets no login. If that address is right, set it as "tokenUrl".';
    throw new RegistryFault("bad-source", message, { detail: `${url.origin}${url.pathname}` });
  }
}
