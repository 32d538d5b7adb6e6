import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  findOciRegistry,
  findSshd,
  findVersitygw,
  installVerdaccio,
  type Stack,
  startOciRegistry,
  startS3,
  startSshd,
  startStack,
  startVerdaccio,
} from "../harness/index.ts";
import { wordOf } from "./blocks.ts";
import { startFileServer } from "./file-server.fixture.ts";
import { pageBlocks, writeTitled } from "./page-files.ts";

/** Code kept as each section of the page says: pushed by a deploy, fetched and run by a worker, and looked at by `doctor`. */
const PAGE = "docs/how-to/code-registries.md";
const FLOW = `
import { flow, log } from "towpath";
export const weather = flow({ name: "weather" }, async () => {
  log.info("it runs");
});
`;

let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.[Symbol.asyncDispose]());

interface Kind {
  readonly section: string;
  /** Texts of the page, and what this test replaces them by. */
  readonly replace: Readonly<Record<string, string>>;
  /** The texts of the page that name a file of a secret, and the secret. */
  readonly secretFiles: Readonly<Record<string, string>>;
  /** The variables of the machine that deploys. */
  readonly env: Readonly<Record<string, string>>;
  /** What a person sees of the registry's address. */
  readonly shown: string;
  readonly host: string;
}

/** The worker's registries as the page has them, with the files of their secrets. */
async function registriesOf(kind: Kind, name: string): Promise<unknown> {
  const block = pageBlocks(PAGE, kind.section).find((one) => wordOf(one, "title") === "registries.json");
  let text = block?.text ?? "";
  for (const [file, secret] of Object.entries(kind.secretFiles)) {
    const path = join(stack.folder, `${name}-${file.replaceAll("/", "-")}`);
    await writeFile(path, secret, { mode: 0o600 });
    expect(text).toContain(file);
    text = text.replaceAll(file, path);
  }
  for (const [from, to] of Object.entries(kind.replace)) text = text.replaceAll(from, to);
  return JSON.parse(text);
}

async function travels(kind: Kind, name: string): Promise<void> {
  const { env, shown } = kind;
  const home = await stack.project({ "flows/weather.ts": FLOW });
  const replace = { ...kind.replace, '"warehouse"': '"local"' };
  for (const block of pageBlocks(PAGE, kind.section))
    if (block.language === "ts") await writeTitled({ home, block, replace });
  const deployed = await stack.towpath(["deploy", "--project", home], { cwd: home, env });
  expect(deployed.code, deployed.output).toBe(0);
  expect(deployed.output).toMatch(/pushed \S+ to code \(/);
  expect(deployed.output).toContain(shown);
  const again = await stack.towpath(["deploy", "--project", home], { cwd: home, env });
  expect(again.output).toMatch(/code \(.*\) has \S+ already/);
  expect(again.output).toContain("unchanged");

  await using worker = await stack.startWorker({
    name,
    settings: { registries: await registriesOf(kind, name) },
  });
  const run = await stack.waitForRun(await stack.run("weather"));
  expect(run, worker.output()).toMatchObject({ state: "completed" });

  const project = await stack.towpath(["doctor"], { cwd: home, env });
  expect(project.output.split("\n").find((line) => /✓ code registry /.test(line))).toContain(shown);
  const ofWorker = await stack.towpath(["doctor", "--config", join(stack.folder, `${name}.json`)]);
  expect(ofWorker.output).toMatch(/✓ registry code .*with its login/);
  await nothingLeaves(
    kind,
    [deployed, again, project, ofWorker].map(({ output }) => output).concat(worker.output()),
  );
}

/** No secret is printed, and the control plane has neither secrets nor the registry's host. */
async function nothingLeaves({ secretFiles, env, host }: Kind, outputs: readonly string[]): Promise<void> {
  const params = { name: "weather" };
  const versions = await stack.client.listVersions({ params, query: { limit: 50 } });
  const version = versions.items[0]?.version ?? 0;
  const { spec } = await stack.client.getSpec({ params: { ...params, version } });
  const payload = Buffer.from(spec.split(".")[1] ?? "", "base64url").toString();
  const known = payload + JSON.stringify(versions) + stack.control.output();
  for (const secret of [...Object.values(secretFiles), ...Object.values(env)]) {
    for (const output of outputs) expect(output).not.toContain(secret);
    expect(known).not.toContain(secret);
  }
  expect(known).not.toContain(host);
}

const versitygw = findVersitygw();

describe("OCI registry", () => {
  const program = findOciRegistry();
  const kindOf = (server: Awaited<ReturnType<typeof startOciRegistry>>, more: Kind["replace"]): Kind => ({
    section: "OCI registry",
    replace: {
      "https://registry.internal": server.url,
      '"deployer"': `"${server.login.username}"`,
      '"worker"': `"${server.login.username}"`,
      ...more,
    },
    secretFiles: { "/etc/towpath/registry-password": server.login.password },
    env: { REGISTRY_PASSWORD: server.login.password },
    shown: `${server.url}/data/flows`,
    host: new URL(server.url).host,
  });

  test.skipIf(program === undefined)("with basic authentication", async () => {
    await using server = await startOciRegistry(program ?? "", { auth: "basic" });
    await travels(kindOf(server, {}), "oci-basic");
  });

  test.skipIf(program === undefined)("with tokens from an endpoint on another origin", async () => {
    await using server = await startOciRegistry(program ?? "", { auth: "token" });
    const ts = `username: "${server.login.username}",`;
    const json = `"username": "${server.login.username}",`;
    const more = {
      [ts]: `${ts} tokenUrl: "${server.tokenUrl}",`,
      [json]: `${json} "tokenUrl": "${server.tokenUrl}",`,
    };
    await travels(kindOf(server, more), "oci-token");
    const scopes = ["repository:data/flows:pull,push", "repository:data/flows:pull"];
    expect(new Set(server.scopes)).toEqual(new Set(scopes));
  });
});

test.skipIf(versitygw === undefined)("Bucket", async () => {
  await using server = await startS3(versitygw ?? "");
  const { endpoint, region, accessKeyId, secretAccessKey } = server.access;
  await travels(
    {
      section: "Bucket",
      replace: {
        "s3://code/flows": "s3://values/flows of a/team",
        "https://s3.internal": endpoint,
        "eu-central-1": region,
      },
      secretFiles: {
        "/etc/towpath/code-access-key": accessKeyId,
        "/etc/towpath/code-secret-key": secretAccessKey,
      },
      env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
      shown: "s3://values/flows of a/team",
      host: new URL(endpoint).host,
    },
    "bucket",
  );
});

describe("Web server", () => {
  const TOKEN = "files-0a9f3c";
  const kindOf = ({ url }: { url: string }): Kind => ({
    section: "Web server",
    replace: { "https://files.internal": url },
    secretFiles: { "/etc/towpath/files-token": TOKEN },
    env: { FILES_TOKEN: TOKEN },
    shown: `${url}/flows`,
    host: new URL(url).host,
  });

  test("that takes archives with PUT", async () => {
    await using server = await startFileServer(TOKEN);
    await travels(kindOf(server), "files");
  });

  test("whose archives people upload: the deploy says what to upload where, and goes on once it is there", async () => {
    await using server = await startFileServer(TOKEN);
    const { env, replace } = kindOf(server);
    const home = await stack.project({ "flows/weather.ts": FLOW.replace("it runs", "uploaded by hand") });
    const changed = { ...replace, '"warehouse"': '"local"', ", push: true": "" };
    for (const block of pageBlocks(PAGE, "Web server"))
      if (block.language === "ts") await writeTitled({ home, block, replace: changed });
    const before = await stack.client.getDeployment({ params: { name: "weather" } });
    const refused = await stack.towpath(["deploy", "--project", home], { cwd: home, env });
    expect(refused.code, refused.output).not.toBe(0);
    const [, file = "", address = ""] = /upload (\S+) to (\S+), then/.exec(refused.output) ?? [];
    expect(address).toMatch(/flows\/[0-9a-f]{64}\.tar\.gz$/);
    expect(await stack.client.getDeployment({ params: { name: "weather" } })).toEqual(before);
    const uploaded = await fetch(address, {
      method: "PUT",
      body: await readFile(file),
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    expect(uploaded.status).toBe(201);
    const deployed = await stack.towpath(["deploy", "--project", home], { cwd: home, env });
    expect(deployed.code, deployed.output).toBe(0);
    expect(deployed.output).toMatch(/code \(.*\) has \S+ already/);
  });
});

test("Archive of another pipeline: a deploy signs its digest, and a worker runs no other archive", async () => {
  const token = "files-d41d8c";
  await using server = await startFileServer(token);
  const folder = join(stack.folder, "pipeline");
  const archiveOf = async (says: string) => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "report.sh"), `#!/bin/sh\necho "${says}"\n`, { mode: 0o755 });
    return execFileSync("tar", ["-czf", "-", "-C", folder, "report.sh"]);
  };
  const archive = await archiveOf("made elsewhere");
  const hex = createHash("sha256").update(archive).digest("hex");
  const authorization = `Bearer ${token}`;
  const upload = (body: Buffer) =>
    fetch(`${server.url}/flows/${hex}.tar.gz`, {
      method: "PUT",
      body: new Uint8Array(body),
      headers: { authorization },
    });
  const env = { FILES_TOKEN: token };
  const home = await stack.project({ "flows/weather.ts": FLOW });
  const [block] = pageBlocks(PAGE, "Archive of another pipeline").filter(({ language }) => language === "ts");
  if (block === undefined) throw new Error("The section has no configuration.");
  const [digest = ""] = /sha256:[0-9a-f]{64}/.exec(block.text) ?? [];
  const replace = {
    "https://files.internal": server.url,
    [digest]: `sha256:${hex}`,
    '"warehouse"': '"local"',
  };
  await writeTitled({ home, block, replace });
  const deploy = () => stack.towpath(["deploy", "--project", home], { cwd: home, env });
  const early = await deploy();
  expect(early.code, early.output).not.toBe(0);
  expect(early.output).toContain(`does not have the archive ${hex}`);

  await upload(await archiveOf("exchanged"));
  const deployed = await deploy();
  expect(deployed.code, deployed.output).toBe(0);
  expect(deployed.output).toContain(`(${server.url}/flows) has sha256:${hex.slice(0, 12)} already`);
  expect((await deploy()).output).toContain("unchanged");
  const files = join(stack.folder, "files-token");
  await writeFile(files, token, { mode: 0o600 });
  const code = { kind: "archive", url: `${server.url}/flows`, token: { file: files } };
  await using worker = await stack.startWorker({ name: "pipeline", settings: { registries: { code } } });
  const refused = await stack.waitForRun(await stack.run("report"));
  expect(refused, worker.output()).toMatchObject({ state: "failed", cause: "refused" });
  expect(refused.error?.message).toContain("does not match its digest");
  await upload(archive);
  const runId = await stack.run("report");
  expect(await stack.waitForRun(runId), worker.output()).toMatchObject({ state: "completed" });
  expect((await stack.towpath(["logs", runId])).output).toContain("made elsewhere");

  const config = join(home, "towpath.config.ts");
  const flow = 'import { weather } from "./flows/weather.ts";\n';
  const text = (await readFile(config, "utf8")).replace(
    "deployments: [",
    "deployments: [deployment(weather, {}), ",
  );
  await writeFile(config, `${flow}${text}`);
  const mixed = await deploy();
  expect(mixed.code, mixed.output).not.toBe(0);
  expect(mixed.output).toContain('but "weather" is a flow. Nothing was registered.');
});

test("npm registry", async ({ skip }) => {
  const program = await installVerdaccio();
  if (program === undefined) return skip();
  await using server = await startVerdaccio(program);
  const kind: Kind = {
    section: "npm registry",
    replace: { "https://npm.internal": server.url },
    secretFiles: { "/etc/towpath/npm-token": server.token },
    env: { NPM_TOKEN: server.token },
    shown: server.url,
    host: new URL(server.url).host,
  };
  await travels(kind, "npm");

  // A worker whose token is for another scope gets nothing.
  const other = { ...kind, secretFiles: { "/etc/towpath/npm-token": server.otherToken } };
  const settings = { registries: await registriesOf(other, "npm-other") };
  await using worker = await stack.startWorker({ name: "npm-other", settings });
  const runId = await stack.run("weather");
  await worker.waitFor(/refuses access to version 0\.0\.0-c[0-9a-f]{40} \(403\)/);
  await stack.client.cancelRun({ params: { runId }, body: {} });
  expect(await stack.waitForRun(runId)).toMatchObject({ state: "cancelled" });
});

const sshd = findSshd();

test.skipIf(sshd === undefined)("Git over SSH", async () => {
  await using server = await startSshd(sshd ?? "");
  const bare = join(stack.folder, "over-ssh.git");
  await mkdir(bare);
  execFileSync("git", ["init", "--quiet", "--bare", "--initial-branch=main", bare]);
  const [key, hosts] = [join(stack.folder, "own-key"), join(stack.folder, "own-hosts")];
  await writeFile(key, server.key, { mode: 0o600 });
  await writeFile(hosts, server.knownHosts);
  const command = `ssh -F none -i ${key} -o UserKnownHostsFile=${hosts} -o IdentitiesOnly=yes`;
  await travels(
    {
      section: "Git over SSH",
      replace: { "ssh://git@git.internal/data/flows.git": `${server.url}${bare}` },
      secretFiles: {
        "/etc/towpath/deploy-key": server.key.trim(),
        "/etc/towpath/known-hosts": server.knownHosts.trim(),
      },
      env: { GIT_SSH_COMMAND: command },
      shown: `${server.url}${bare}`,
      host: new URL(server.url).host,
    },
    "ssh",
  );
});
