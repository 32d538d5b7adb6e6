import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { TestVault } from "../harness/index.ts";
import { vaultConformance } from "../harness/vault-conformance.ts";

const SOURCE = fileURLToPath(new URL("./vault", import.meta.url));
/** The version of the module in `go.mod`. A new one is built anew. */
const BUILT = fileURLToPath(
  new URL("../../node_modules/.cache/towpath-tests/vault-1.21.4/vault", import.meta.url),
);

/** Builds the Vault once, which takes Go some minutes. */
async function build(): Promise<string> {
  if (existsSync(BUILT)) return BUILT;
  const folder = dirname(BUILT);
  mkdirSync(folder, { recursive: true });
  cpSync(SOURCE, folder, { recursive: true });
  const go = spawn("go", ["build", "-mod=mod", "-o", "vault.new", "."], {
    cwd: folder,
    env: { ...process.env, GOFLAGS: "" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [said, code] = await Promise.all([
    text(go.stderr),
    once(go, "close").then(
      ([code]) => code,
      () => 127,
    ),
  ]);
  if (code !== 0)
    throw new Error(
      `The Vault of the tests cannot be built. They need Go (https://go.dev/dl): ${said.slice(-2_000)}`,
    );
  renameSync(join(folder, "vault.new"), BUILT);
  return BUILT;
}

type Call = (method: string, path: string, body?: object, token?: string) => Promise<unknown>;

/** Kubernetes, as a Vault asks it: whether a token is a service account's. */
async function startTokenReviews(accepted: string) {
  const server = createServer(async (request, answer) => {
    const review = JSON.parse(await text(request));
    const authenticated = review.spec?.token === accepted;
    const user = { username: "system:serviceaccount:flows:towpath-worker", uid: "5d1e7ac5" };
    answer.writeHead(201, { "content-type": "application/json" });
    answer.end(
      JSON.stringify({
        ...review,
        status: { authenticated, ...(authenticated && { user, audiences: review.spec.audiences }) },
      }),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() };
}

/** A token of a service account. Kubernetes, and not its signature, says that it is one. */
function serviceAccount(): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const kubernetes = {
    namespace: "flows",
    serviceaccount: { name: "towpath-worker", uid: "5d1e7ac5" },
  };
  const claims = {
    iss: "https://kubernetes.default.svc",
    sub: "system:serviceaccount:flows:towpath-worker",
    aud: ["https://kubernetes.default.svc"],
    exp: 4_102_444_800,
    iat: 1_700_000_000,
    "kubernetes.io": kubernetes,
  };
  return `${part({ alg: "RS256", kid: "k" })}.${part(claims)}.${Buffer.from("signature").toString("base64url")}`;
}

const READER = `
path "secret/data/*" { capabilities = ["read"] }
path "kv/*" { capabilities = ["read"] }
path "secret/data/closed/*" { capabilities = ["deny"] }
`;

async function prepare(call: Call, reviews: string): Promise<void> {
  await call("POST", "sys/mounts/secret", { type: "kv", options: { version: "2" } });
  await call("POST", "sys/mounts/kv", { type: "kv", options: { version: "1" } });
  await call("POST", "sys/policies/acl/reader", { policy: READER });
  await call("POST", "sys/auth/approle", { type: "approle" });
  await call("POST", "auth/approle/role/worker", { token_policies: ["reader"], token_ttl: "10m" });
  await call("POST", "sys/auth/kubernetes", { type: "kubernetes" });
  await call("POST", "auth/kubernetes/config", {
    kubernetes_host: reviews,
    disable_local_ca_jwt: true,
    token_reviewer_jwt: serviceAccount(),
  });
  await call("POST", "auth/kubernetes/role/worker", {
    bound_service_account_names: ["towpath-worker"],
    bound_service_account_namespaces: ["flows"],
    audience: "https://kubernetes.default.svc",
    token_policies: ["reader"],
    token_ttl: "10m",
  });
  // The mount of version 2 upgrades its storage first, and refuses requests until then.
  await until(() => call("POST", "secret/data/first", { data: { a: "b" } }));
}

async function until(work: () => Promise<unknown>): Promise<void> {
  for (const late = performance.now() + 60_000; ; )
    try {
      await work();
      return;
    } catch (error) {
      if (performance.now() > late) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

const encoded = (path: string) => path.split("/").map(encodeURIComponent).join("/");

async function startVault(): Promise<TestVault> {
  const program = spawn(await build(), { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = (await once(createInterface(program.stdout), "line")) as [string];
  const [address = "", root = ""] = line.split(" ");
  const call = async (method: string, path: string, body?: object, token = root) => {
    const answer = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { "x-vault-token": token, "x-vault-request": "true" },
      ...(body && { body: JSON.stringify(body) }),
    });
    const said = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${said}`);
    return said === "" ? {} : JSON.parse(said);
  };
  const account = serviceAccount();
  const reviews = await startTokenReviews(account);
  await prepare(call, reviews.url);
  return {
    address,
    authority: null,
    serviceAccountToken: account,
    put: async (mount, path, data) =>
      void (await call(
        "POST",
        mount === "secret" ? `secret/data/${encoded(path)}` : `kv/${encoded(path)}`,
        mount === "secret" ? { data } : data,
      )),
    remove: async (path) => void (await call("DELETE", `secret/data/${encoded(path)}`)),
    token: async (ttlSeconds) => {
      const body = { policies: ["reader"], ttl: `${ttlSeconds}s`, no_parent: true };
      return (await call("POST", "auth/token/create", body)).auth.client_token;
    },
    revoke: async (token) => void (await call("POST", "auth/token/revoke", { token })),
    wasRenewed: async (token) =>
      (await call("POST", "auth/token/lookup", { token })).data.last_renewal !== undefined,
    appRole: async () => ({
      roleId: (await call("GET", "auth/approle/role/worker/role-id")).data.role_id,
      secretId: (await call("POST", "auth/approle/role/worker/secret-id")).data.secret_id,
    }),
    rotateSecretIds: async () => {
      const { data } = await call("LIST", "auth/approle/role/worker/secret-id");
      for (const secret_id_accessor of data.keys)
        await call("POST", "auth/approle/role/worker/secret-id-accessor/destroy", { secret_id_accessor });
    },
    async [Symbol.asyncDispose]() {
      reviews.close();
      program.stdin.end();
      if (program.exitCode === null) await once(program, "exit");
    },
  };
}

vaultConformance("HashiCorp Vault", startVault);
