import { readFile } from "node:fs/promises";
import { certificateFault, proxyFor, proxySettings } from "@towpath/contract";
import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from "undici";
import { SourceFault } from "./secret-unavailable.ts";
import type { VaultServer } from "./shapes.ts";

/** The longest answer that is read, bytes. A Vault's own limit on a secret is 1 MiB. */
const ANSWER_MAX_BYTES = 2 * 1024 * 1024;

/** One call of a Vault's API. */
export interface VaultCall {
  readonly method: "GET" | "POST";
  /** Below `/v1/`, with each segment encoded. */
  readonly path: string;
  readonly token?: string;
  readonly body?: Readonly<Record<string, string>>;
}

/** What a Vault answers. The body is null if it is no JSON. */
export interface VaultAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Calls a Vault: with a time limit, through the worker's proxy if there is one. It follows no redirect. */
export class VaultConnection {
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #server: VaultServer;
  #dispatcher: Promise<Dispatcher> | undefined;

  constructor(environment: Readonly<Record<string, string | undefined>>, server: VaultServer) {
    this.#environment = environment;
    this.#server = server;
  }

  /** @throws SourceFault when it does not answer, is sealed or too busy, or answers from elsewhere. */
  async call(call: VaultCall): Promise<VaultAnswer> {
    const answer = await this.#exchange(call);
    const { name } = this.#server;
    if (answer.status >= 300 && answer.status < 400)
      throw new SourceFault({
        what: `the Vault "${name}" redirects to another address, which the worker does not follow`,
        next: `Set vaults.${name}.address to the active node or to a load balancer.`,
      });
    if (answer.status === 503)
      throw new SourceFault({
        what: `the Vault "${name}" is sealed or not ready (status 503)`,
        next: "Unseal it.",
        isOutage: true,
      });
    if (answer.status === 429 || answer.status >= 500)
      throw new SourceFault({
        what: `the Vault "${name}" answered with status ${answer.status}`,
        next: "Check its log.",
        isOutage: true,
      });
    return answer;
  }

  async #exchange({ method, path, token, body }: VaultCall): Promise<VaultAnswer> {
    const { address, namespace, timeoutMs } = this.#server;
    this.#dispatcher ??= this.#open();
    try {
      const response = await request(`${address}/v1/${path}`, {
        dispatcher: await this.#dispatcher,
        method,
        headers: {
          "x-vault-request": "true",
          ...(token !== undefined && { "x-vault-token": token }),
          ...(namespace !== null && { "x-vault-namespace": namespace }),
          ...(body !== undefined && { "content-type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      return { status: response.statusCode, body: jsonOf(await readLimited(response.body)) };
    } catch (error) {
      // A new authority's certificate is read with the next connection.
      const opened = this.#dispatcher;
      this.#dispatcher = undefined;
      void opened?.then((dispatcher) => dispatcher.destroy()).catch(() => {});
      throw error instanceof SourceFault ? error : this.#silence(error);
    }
  }

  async #open(): Promise<Dispatcher> {
    const { address, ca, name } = this.#server;
    const tls = ca === null ? {} : { ca: await readFile(ca, "utf8").catch(() => noAuthority(name)) };
    const proxy = proxyFor(address, this.#environment) === null ? null : proxySettings(this.#environment);
    // No connection is kept: calls are rare, and one that a load balancer has closed meanwhile would fail.
    const options = { connect: tls, pipelining: 0 };
    return proxy === null
      ? new Agent(options)
      : new EnvHttpProxyAgent({ ...options, ...proxy, requestTls: tls });
  }

  #silence(error: unknown): SourceFault {
    const { name, timeoutMs, address } = this.#server;
    const code = error instanceof Error && "code" in error ? String(error.code) : null;
    const certificate = certificateFault(code);
    if (certificate !== null)
      return new SourceFault({
        what: `the Vault "${name}" cannot be trusted: ${certificate.what} (${code})`,
        next: `Set vaults.${name}.ca to its authority's certificate, a PEM file, or correct its certificate.`,
        isOutage: true,
        cause: error,
      });
    const late = error instanceof Error && error.name === "TimeoutError";
    const why = late ? `within ${timeoutMs} ms` : `(${code ?? "the connection broke"})`;
    const proxy = proxyFor(address, this.#environment) === null ? "" : " through the proxy";
    return new SourceFault({
      what: `the Vault "${name}" did not answer${proxy} ${why}`,
      next: `Check vaults.${name}.address, and that this worker can reach it.`,
      isOutage: true,
      cause: error,
    });
  }
}

function noAuthority(name: string): never {
  throw new SourceFault({
    what: `the certificate of the authority of the Vault "${name}" cannot be read`,
    next: `Check the path in vaults.${name}.ca and its permissions.`,
  });
}

async function readLimited(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > ANSWER_MAX_BYTES)
      throw new SourceFault({
        what: `a Vault's answer is longer than ${ANSWER_MAX_BYTES} bytes`,
        next: "Keep the value in a secret of its own.",
      });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
