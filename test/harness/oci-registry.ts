import { createPrivateKey, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { SignJWT } from "jose";
import { makeCertificates } from "./certificates.ts";
import { freePort } from "./free-port.ts";
import { removeWithUs } from "./guard.ts";
import { startProcess } from "./process.ts";

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Finds Debian's OCI registry. Undefined if it is not installed: its tests are then skipped with a message.
 * @throws Error in CI, where no test may be skipped.
 */
export function findOciRegistry(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = folders.map((folder) => join(folder, "docker-registry")).find(isExecutable);
  if (found !== undefined) return found;
  const missing = "The tests of OCI registries need one: apt-get install docker-registry.";
  if (process.env.CI) throw new Error(missing);
  process.stderr.write(`SKIPPED: ${missing}\n`);
  return undefined;
}

/** A running registry whose login is `login`. */
export interface OciRegistryServer extends AsyncDisposable {
  /** Its origin, `http://127.0.0.1:5000`. */
  readonly url: string;
  readonly login: { readonly username: string; readonly password: string };
  /** With tokens: the address of the token endpoint, which is on another origin. */
  readonly tokenUrl: string | null;
  /** With tokens: what each token was asked for. */
  readonly scopes: readonly string[];
}

const LOGIN = { username: "keeper", password: "lock-keeper" };
/** bcrypt of that password. */
const HASH = "$2b$04$F2.uIR6FvhCFR.mwCPydYu6H3jPLgZZNwYWv3Lus3rP7fVhYTYRtK";
const SERVICE = "registry.test";
const ISSUER = "auth.test";
const START_MS = 30_000;
const AGAIN_MS = 20;

/** Starts a registry on a new folder, with basic authentication or with a token endpoint (Bearer). */
export async function startOciRegistry(
  program: string,
  { auth }: { auth: "basic" | "token" },
): Promise<OciRegistryServer> {
  const folder = await mkdtemp(join(tmpdir(), "towpath-oci-"));
  removeWithUs(folder);
  await mkdir(join(folder, "storage"));
  const port = await freePort();
  const tokens = auth === "token" ? await startTokenServer(folder) : null;
  await writeFile(join(folder, "htpasswd"), `${LOGIN.username}:${HASH}\n`);
  const guard =
    tokens === null
      ? { htpasswd: { realm: "test", path: join(folder, "htpasswd") } }
      : {
          token: {
            realm: tokens.url,
            service: SERVICE,
            issuer: ISSUER,
            rootcertbundle: join(folder, "root.pem"),
          },
        };
  const config = {
    version: 0.1,
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, "storage") } },
    http: { addr: `127.0.0.1:${port}` },
    auth: guard,
  };
  // JSON is YAML.
  await writeFile(join(folder, "config.yml"), JSON.stringify(config));
  const env = { PATH: process.env.PATH, OTEL_TRACES_EXPORTER: "none" };
  const server = startProcess({ command: program, args: ["serve", join(folder, "config.yml")], env });
  const url = `http://127.0.0.1:${port}`;
  await answering(url);
  return {
    url,
    login: LOGIN,
    tokenUrl: tokens?.url ?? null,
    scopes: tokens?.scopes ?? [],
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await tokens?.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A token endpoint as the registry's own documentation describes it. It checks the login and grants the scope. */
async function startTokenServer(folder: string) {
  const certificates = makeCertificates([ISSUER]);
  await writeFile(join(folder, "root.pem"), certificates.authority);
  const key = createPrivateKey(certificates.key);
  const x5c = [new X509Certificate(certificates.certificate).raw.toString("base64")];
  const expected = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString("base64")}`;
  const scopes: string[] = [];
  const tokenFor = (scope: string) => {
    const [, type, name, actions = ""] = /^(\w+):(.+):([\w,]+)$/.exec(scope) ?? [];
    return new SignJWT({ access: [{ type, name, actions: actions.split(",") }] })
      .setProtectedHeader({ alg: "ES256", typ: "JWT", x5c })
      .setIssuer(ISSUER)
      .setAudience(SERVICE)
      .setSubject(LOGIN.username)
      .setJti(String(scopes.length))
      .setIssuedAt(Math.floor(Date.now() / 1000) - 10)
      .setNotBefore(Math.floor(Date.now() / 1000) - 10)
      .setExpirationTime("5m")
      .sign(key);
  };
  const server = createServer((request, response) => {
    if (request.headers.authorization !== expected) return void response.writeHead(401).end();
    const scope = new URL(request.url ?? "/", "http://any").searchParams.get("scope") ?? "";
    scopes.push(scope);
    void tokenFor(scope).then((token) =>
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ token })),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on a port");
  return {
    url: `http://127.0.0.1:${address.port}/token`,
    scopes,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answering(url: string): Promise<void> {
  for (const until = performance.now() + START_MS; ; ) {
    const isUp = await fetch(url).then(
      () => true,
      () => false,
    );
    if (isUp) return;
    if (performance.now() > until) throw new Error(`Nothing answers at ${url}.`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
