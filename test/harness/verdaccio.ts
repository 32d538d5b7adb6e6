import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";
import { removeWithUs } from "./guard.ts";
import { startProcess } from "./process.ts";

const CACHE = fileURLToPath(new URL("../../node_modules/.cache/towpath-tests/", import.meta.url));
const RELEASE = "6.10.4";
/** It names a tag that not every mirror of the npm registry has. */
const OVERRIDES = { "node-fetch": "2.7.0" };
const INSTALL_MS = 170_000;
const START_MS = 60_000;
const AGAIN_MS = 20;

/**
 * Installs Verdaccio, an npm registry, once. Undefined if it cannot be installed: its tests are then skipped with a message.
 * @throws Error in CI, where no test may be skipped.
 */
export async function installVerdaccio(): Promise<string | undefined> {
  const folder = join(CACHE, `verdaccio-${RELEASE}`);
  const program = join(folder, "node_modules/verdaccio/bin/verdaccio");
  if (existsSync(program)) return program;
  await mkdir(CACHE, { recursive: true });
  const draft = await mkdtemp(join(CACHE, "installing-"));
  try {
    await writeFile(join(draft, "package.json"), JSON.stringify({ private: true, overrides: OVERRIDES }));
    const args = ["install", `verdaccio@${RELEASE}`, "--no-audit", "--no-fund", "--ignore-scripts"];
    await promisify(execFile)("npm", args, { cwd: draft, timeout: INSTALL_MS });
    // Another process may have installed it meanwhile.
    await rename(draft, folder).catch(() => undefined);
    return program;
  } catch (error) {
    const missing = `The tests of npm registries need Verdaccio, and npm could not install it: ${String(error).split("\n").at(-1)}`;
    if (process.env.CI) throw new Error(missing);
    process.stderr.write(`SKIPPED: ${missing}\n`);
    return undefined;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** A running npm registry with two packages' scopes and a user for each. */
export interface NpmServer extends AsyncDisposable {
  readonly url: string;
  /** The token of the user who may read and publish `@data`. */
  readonly token: string;
  /** The token of a user who may not. */
  readonly otherToken: string;
}

/** Starts a registry on a new folder. */
export async function startVerdaccio(program: string): Promise<NpmServer> {
  const folder = await mkdtemp(join(tmpdir(), "towpath-npm-"));
  removeWithUs(folder);
  const port = await freePort();
  const config = {
    storage: join(folder, "storage"),
    auth: { htpasswd: { file: join(folder, "htpasswd"), max_users: 10 } },
    uplinks: {},
    packages: { "@data/*": { access: "keeper", publish: "keeper" }, "**": { access: "other" } },
    web: { enable: false },
    log: { type: "stdout", format: "json", level: "error" },
  };
  // JSON is YAML.
  await writeFile(join(folder, "config.yaml"), JSON.stringify(config));
  const url = `http://127.0.0.1:${port}`;
  const server = startProcess({
    command: process.execPath,
    args: [program, "--config", join(folder, "config.yaml"), "--listen", url],
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder },
  });
  await answering(url);
  return {
    url,
    token: await tokenOf(url, "keeper"),
    otherToken: await tokenOf(url, "other"),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Makes a user, as `npm login` does. */
async function tokenOf(url: string, name: string): Promise<string> {
  const answer = await fetch(`${url}/-/user/org.couchdb.user:${name}`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name, password: `lock-${name}-7a1` }),
  });
  const { token } = (await answer.json()) as { token?: string };
  if (token === undefined) throw new Error(`Verdaccio made no user: ${answer.status}`);
  return token;
}

async function answering(url: string): Promise<void> {
  for (const until = performance.now() + START_MS; ; ) {
    const isUp = await fetch(`${url}/-/ping`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (isUp) return;
    if (performance.now() > until) throw new Error(`Nothing answers at ${url}.`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
