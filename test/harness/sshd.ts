import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";
import { removeWithUs } from "./guard.ts";
import { startProcess } from "./process.ts";

const run = promisify(execFile);

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Finds OpenSSH's server. Undefined if it is not installed: its tests are then skipped with a message.
 * @throws Error in CI, where no test may be skipped.
 */
export function findSshd(): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"];
  const found = folders.map((folder) => join(folder, "sshd")).find(isExecutable);
  if (found !== undefined) return found;
  const missing = "The tests of git over SSH need OpenSSH's server: apt-get install openssh-server.";
  if (process.env.CI) throw new Error(missing);
  process.stderr.write(`SKIPPED: ${missing}\n`);
  return undefined;
}

/** A running SSH server for this user, with one key that it accepts and one that it does not. */
export interface SshServer extends AsyncDisposable {
  /** `ssh://user@127.0.0.1:2222`, to which a path is added. */
  readonly url: string;
  /** The private keys, as ssh-keygen writes them. */
  readonly key: string;
  readonly otherKey: string;
  /** The lines of `known_hosts` for this server, and for one with another key at the same address. */
  readonly knownHosts: string;
  readonly otherKnownHosts: string;
}

const START_MS = 30_000;
const AGAIN_MS = 20;

/** Starts a server on loopback that accepts only its key. */
export async function startSshd(program: string): Promise<SshServer> {
  const folder = await mkdtemp(join(tmpdir(), "towpath-sshd-"));
  removeWithUs(folder);
  const make = async (name: string) => {
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", join(folder, name)]);
    return {
      secret: await readFile(join(folder, name), "utf8"),
      open: (await readFile(join(folder, `${name}.pub`), "utf8")).trim(),
    };
  };
  const [host, otherHost, key, otherKey] = [
    await make("host"),
    await make("other-host"),
    await make("key"),
    await make("other-key"),
  ];
  await writeFile(join(folder, "authorized"), `${key.open}\n`, { mode: 0o600 });
  // As root, the server wants this folder, which the system makes when it starts.
  if (process.getuid?.() === 0) await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  const port = await freePort();
  const settings = [
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    `HostKey ${join(folder, "host")}`,
    `AuthorizedKeysFile ${join(folder, "authorized")}`,
    `PidFile ${join(folder, "pid")}`,
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin prohibit-password",
    "AcceptEnv GIT_PROTOCOL",
  ];
  await writeFile(join(folder, "config"), `${settings.join("\n")}\n`);
  const server = startProcess({
    command: program,
    args: ["-D", "-e", "-f", join(folder, "config")],
    env: { PATH: process.env.PATH },
  });
  await listening(port);
  const address = `[127.0.0.1]:${port}`;
  const line = (open: string) => `${address} ${open.split(" ").slice(0, 2).join(" ")}\n`;
  return {
    url: `ssh://${userInfo().username}@127.0.0.1:${port}`,
    key: key.secret,
    otherKey: otherKey.secret,
    knownHosts: line(host.open),
    otherKnownHosts: line(otherHost.open),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function listening(port: number): Promise<void> {
  for (const until = performance.now() + START_MS; ; ) {
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("data", () => {
        resolve(true);
        socket.destroy();
      });
      socket.once("error", () => resolve(false));
      socket.once("close", () => resolve(false));
      socket.setTimeout(1_000, () => socket.destroy());
    });
    if (isUp) return;
    if (performance.now() > until) throw new Error(`No SSH server answers at port ${port}.`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
