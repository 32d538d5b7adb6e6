import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { makeCertificates } from "./certificates.ts";

/** A Vault with secrets and logins, as the conformance suite needs it: the fake, or a real one. */
export interface TestVault extends AsyncDisposable {
  readonly address: string;
  /** The PEM of its authority. Null: it serves HTTP. */
  readonly authority: string | null;
  /** Writes a secret under the mount `secret` (KV version 2) or `kv` (version 1). */
  put(mount: "secret" | "kv", path: string, data: Readonly<Record<string, unknown>>): Promise<void>;
  /** Deletes the newest version of a secret under the mount `secret`. */
  remove(path: string): Promise<void>;
  /** A token with the policy `reader`, which reads all but paths that begin with `closed`. */
  token(ttlSeconds: number): Promise<string>;
  revoke(token: string): Promise<void>;
  wasRenewed(token: string): Promise<boolean>;
  /** The credentials of a role with the policy `reader`, with a new secret id. */
  appRole(): Promise<{ roleId: string; secretId: string }>;
  /** Makes secret ids so far useless. */
  rotateSecretIds(): Promise<void>;
  /** A service account's token that the role `worker` accepts. */
  readonly serviceAccountToken: string;
}

interface FakeToken {
  readonly ttl: number;
  renewals: number;
}

/** A small, strict Vault. It answers only the calls that are made, in the way of Vault 1.21 and OpenBao 2. */
export class FakeVault implements TestVault {
  readonly serviceAccountToken = "header.service-account.signature";
  readonly asked: string[] = [];
  readonly tokens = new Map<string, FakeToken>();
  /** Answers instead, if it is set. */
  instead: ((request: IncomingMessage, answer: ServerResponse) => void) | null = null;
  /** The namespace that requests must name. */
  namespace: string | undefined;
  readonly authority: string;
  readonly #server;
  readonly #versioned = new Map<string, Readonly<Record<string, unknown>> | null>();
  readonly #plain = new Map<string, Readonly<Record<string, unknown>>>();
  #secretIds = new Set<string>();
  #made = 0;

  constructor() {
    const { authority, certificate, key } = makeCertificates(["127.0.0.1"]);
    this.authority = authority;
    this.#server = createServer({ cert: certificate, key }, (request, answer) => {
      void this.#serve(request, answer);
    });
  }

  async start(port = 0): Promise<this> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get address(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async put(mount: "secret" | "kv", path: string, data: Readonly<Record<string, unknown>>) {
    (mount === "secret" ? this.#versioned : this.#plain).set(path, data);
  }

  async remove(path: string) {
    this.#versioned.set(path, null);
  }

  async token(ttlSeconds: number) {
    const value = `hvs.fake-${++this.#made}`;
    this.tokens.set(value, { ttl: ttlSeconds, renewals: 0 });
    return value;
  }

  async revoke(token: string) {
    this.tokens.delete(token);
  }

  async wasRenewed(token: string) {
    return (this.tokens.get(token)?.renewals ?? 0) > 0;
  }

  async appRole() {
    const secretId = `secret-id-${++this.#made}`;
    this.#secretIds.add(secretId);
    return { roleId: "role-id", secretId };
  }

  async rotateSecretIds() {
    this.#secretIds = new Set();
  }

  async [Symbol.asyncDispose]() {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    this.asked.push(`${request.method} ${request.url}`);
    if (this.instead !== null) return this.instead(request, answer);
    const send = (status: number, body: object) =>
      answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    const refused = () => send(403, { errors: ["permission denied"] });
    if (request.headers["x-vault-request"] !== "true") return void send(400, { errors: ["no header"] });
    if (request.headers["x-vault-namespace"] !== this.namespace) return void send(404, { errors: [] });
    const path = decodeURIComponent((request.url ?? "").replace(/^\/v1\//, ""));
    if (/^auth\/(approle|kubernetes)\/login$/.test(path))
      return await this.#logIn(path, { body: JSON.parse(await text(request)), send });
    const given = String(request.headers["x-vault-token"]);
    const token = this.tokens.get(given);
    if (token === undefined) return void refused();
    if (path === "auth/token/lookup-self" && request.method === "GET")
      return void send(200, { data: { ttl: token.ttl, renewable: token.ttl > 0 } });
    if (path === "auth/token/renew-self" && request.method === "POST") {
      token.renewals++;
      return void send(200, { auth: { client_token: given, lease_duration: token.ttl, renewable: true } });
    }
    const [, mount, name = ""] = /^(secret\/data|kv)\/(.+)$/.exec(path) ?? [];
    if (mount === undefined || request.method !== "GET" || name.startsWith("closed")) return void refused();
    if (mount === "kv") {
      const data = this.#plain.get(name);
      return void (data ? send(200, { lease_duration: 2_764_800, data }) : send(404, { errors: [] }));
    }
    const data = this.#versioned.get(name);
    if (data === undefined) return void send(404, { errors: [] });
    send(data === null ? 404 : 200, { lease_duration: 0, data: { data, metadata: { version: 1 } } });
  }

  async #logIn(
    path: string,
    { body, send }: { body: Record<string, string>; send: (status: number, body: object) => void },
  ): Promise<void> {
    const known = path.startsWith("auth/approle")
      ? body.role_id === "role-id" && this.#secretIds.has(body.secret_id ?? "")
      : body.role === "worker" && body.jwt === this.serviceAccountToken;
    if (!known) return send(path.startsWith("auth/approle") ? 400 : 403, { errors: ["invalid"] });
    const client_token = await this.token(600);
    send(200, { auth: { client_token, lease_duration: 600, renewable: true } });
  }
}
