import { execFileSync } from "node:child_process";
import { access, chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findSshd, type SshServer, startProcess, startSshd } from "../../../test/harness/index.ts";
import { CodeError } from "./code-error.ts";
import type { CodeSource } from "./code-request.ts";
import { fetchCode } from "./fetch-code.ts";
import { failure, makeRepository, never, openCache, root } from "./git-fetch.fixture.ts";

const program = findSshd();
let server: SshServer;
let repository: Awaited<ReturnType<typeof makeRepository>>;
beforeAll(async () => {
  if (program === undefined) return;
  server = await startSshd(program);
  repository = await makeRepository([{ f: "1" }, { f: "2" }]);
});
afterAll(() => server?.[Symbol.asyncDispose]());

const source = (more: object = {}) =>
  ({
    kind: "git",
    url: `${server.url}${repository.dir}/.git`,
    key: server.key,
    knownHosts: server.knownHosts,
    ...more,
  }) satisfies CodeSource;

async function faultOf(more: object, options: Parameters<typeof failure>[2] = {}): Promise<CodeError> {
  const error = await failure(source(more), repository.shas[0] ?? "", options);
  if (!(error instanceof CodeError)) throw error;
  const [, line = ""] = server.key.split("\n");
  expect(error.message + (error.output ?? "")).not.toContain(line);
  expect(error.message).not.toContain("127.0.0.1");
  return error;
}

describe.skipIf(program === undefined)("git over SSH", () => {
  test("brings any commit of a branch with the key and host key of the configuration, and leaves no key behind", async () => {
    const cache = await openCache();
    for (const [index, digest] of repository.shas.entries()) {
      const { dir } = await fetchCode(cache, { source: source(), digest }, never);
      expect(await readFile(join(dir, "f"), "utf8")).toBe(String(index + 1));
    }
    expect(await readdir(join(cache.dir, ".making"))).toEqual([]);
  });

  test("takes a key without a line break at its end, and one with the line ends of Windows", async () => {
    for (const key of [server.key.trimEnd(), server.key.replaceAll("\n", "\r\n")]) {
      const request = { source: source({ key }), digest: repository.shas[0] ?? "" };
      await fetchCode(await openCache(), request, never);
    }
  });

  test.each(["otherKnownHosts", "none"] as const)(
    "is refused when the host key is not in knownHosts: %s",
    async (which) => {
      const knownHosts = which === "none" ? "elsewhere.example ssh-ed25519 AAAA" : server[which];
      const fault = await faultOf({ knownHosts });
      expect(fault).toMatchObject({ code: "bad-source", kind: "refused" });
      expect(fault.message).toContain("host key");
    },
  );

  test("is refused with a key that the server does not accept, although the user's agent and configuration have another", async () => {
    const home = join(root, "home");
    await mkdir(join(home, ".ssh"), { recursive: true, mode: 0o700 });
    await writeFile(join(home, ".ssh/id_ed25519"), server.key, { mode: 0o600 });
    const socket = join(home, "agent");
    await using agent = startProcess({
      command: "ssh-agent",
      args: ["-D", "-a", socket],
      env: { PATH: process.env.PATH },
    });
    await agent.waitFor(/SSH_AUTH_SOCK/);
    const known = { PATH: process.env.PATH, SSH_AUTH_SOCK: socket };
    execFileSync("ssh-add", ["-q", join(home, ".ssh/id_ed25519")], { env: known });
    const env = { HOME: home, GIT_SSH_COMMAND: "touch ran", SSH_AUTH_SOCK: socket };
    const fault = await faultOf({ key: server.otherKey }, { git: { env } });
    expect(fault).toMatchObject({ code: "unauthorized", retryable: false });
    expect(fault.message).toContain("SSH key");
  });

  test.each(["", "not a key", "-----BEGIN OPENSSH PRIVATE KEY-----\n"])(
    "is refused with the key %j",
    async (key) => {
      expect(["unauthorized", "bad-source"]).toContain((await faultOf({ key })).code);
    },
  );

  test.each([
    "ssh://-oProxyCommand=touch%20ran/x",
    "ssh://git@-oProxyCommand=touch/x",
    "ssh://-l@127.0.0.1/x",
    "ssh://git:pw@127.0.0.1/x",
    "ssh://127.0.0.1/x",
    "git@127.0.0.1:x",
    "ext::sh -c touch% ran",
  ])("is refused for the address %s", async (url) => {
    expect(await faultOf({ url })).toMatchObject({ code: "bad-source" });
  });

  test("may be tried again when no server answers", async () => {
    const fault = await faultOf({ url: "ssh://git@127.0.0.1:9/x" });
    expect(fault).toMatchObject({ code: "registry-unreachable", retryable: true });
  });

  test("says when ssh is not installed", async () => {
    // A folder of programs that has git and not ssh.
    const programs = join(root, "programs");
    await mkdir(programs, { recursive: true });
    const path = join(programs, "git");
    await writeFile(path, `#!/bin/sh\nexec ${await whichGit()} "$@"\n`);
    await chmod(path, 0o755);
    const fault = await faultOf({}, { git: { env: { PATH: programs } } });
    expect(fault).toMatchObject({ code: "ssh-missing", retryable: false });
  });
});

async function whichGit(): Promise<string> {
  for (const folder of (process.env.PATH ?? "").split(":"))
    if (
      await access(join(folder, "git")).then(
        () => true,
        () => false,
      )
    )
      return join(folder, "git");
  throw new Error("git is not in PATH");
}
