import { access, constants } from "node:fs/promises";
import { dirname, isAbsolute, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { createClient } from "@towpath/client";
import { BucketAddress, CodeAddress, NpmPackageName, OciAddress } from "@towpath/contract";
import { LEDGER_FILE } from "@towpath/contract/ledger";
import { z } from "zod";
import { withoutPassword } from "../deployments/git.ts";
import { readSecretsOf, withDefaultCredentials } from "../deployments/registry-login.ts";
import { Failure, toFailure } from "../failure.ts";
import { readJsonFile } from "../kernel/connection.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { networkFetch } from "../kernel/network.ts";
import { StoreSettings } from "../store/worker-store.ts";
import {
  openSecretGround,
  type SecretGround,
  SecretSource,
  type SecretValue,
  secretPlace,
  secretValue,
} from "../worker/secret-values.ts";
import { type FileQuestion, type GitQuestion, gitFault, gitFileFault } from "./ask-git.ts";
import { registryTroubleOf } from "./ask-registry.ts";
import { bad, type Check, checkFolder, faultOfServer, good } from "./checks.ts";
import { openSshFiles } from "./ssh-files.ts";
import { checkStores } from "./stores.ts";
import { checkLedgerFile, ledgerFault } from "./worker-ledger.ts";
import { checkLogs, WorkerLogs } from "./worker-logs.ts";
import { checkNpm, WorkerNpm } from "./worker-npm.ts";
import { checkPython, WorkerPython } from "./worker-python.ts";
import { checkWalls } from "./worker-walls.ts";

const Registry = z.union([
  z.looseObject({ kind: z.literal("oci-layout"), path: z.string() }),
  z.looseObject({
    kind: z.literal("oci"),
    url: OciAddress,
    username: z.string().optional(),
    password: SecretSource.optional(),
    tokenUrl: CodeAddress.optional(),
  }),
  z.looseObject({
    kind: z.literal("s3"),
    url: BucketAddress,
    endpoint: CodeAddress.optional(),
    region: z.string().optional(),
    accessKeyId: SecretSource.optional(),
    secretAccessKey: SecretSource.optional(),
    sessionToken: SecretSource.optional(),
  }),
  z.looseObject({
    kind: z.literal("archive"),
    url: CodeAddress,
    username: z.string().optional(),
    password: SecretSource.optional(),
    token: SecretSource.optional(),
  }),
  z.looseObject({
    kind: z.literal("npm"),
    url: CodeAddress,
    package: NpmPackageName,
    username: z.string().optional(),
    password: SecretSource.optional(),
    token: SecretSource.optional(),
  }),
  z.looseObject({
    kind: z.literal("git"),
    url: z.string(),
    username: z.string().optional(),
    password: SecretSource.optional(),
    key: SecretSource.optional(),
    knownHosts: SecretSource.optional(),
  }),
]);
type Registry = z.output<typeof Registry>;

/** The part of a worker's configuration that is checked here. The worker checks the rest when it starts. */
const WorkerFile = z.looseObject({
  url: z.url(),
  key: SecretSource,
  pool: z.string(),
  stateDir: z.string(),
  ledger: z
    .union([
      z.string(),
      z.looseObject({ from: Registry, file: z.string().default(LEDGER_FILE), branch: z.string().optional() }),
    ])
    .optional(),
  trustedKeys: z.array(z.union([z.object({ file: z.string() }), z.looseObject({ kid: z.string() })])).min(1),
  registries: z.record(z.string(), Registry).default({}),
  store: StoreSettings,
  stores: z.record(z.string(), StoreSettings).default({}),
  secrets: z.record(z.string(), SecretSource).default({}),
  workspaceKeys: z.array(z.unknown()).default([]),
  logs: WorkerLogs,
  python: WorkerPython.prefault({}),
  npm: WorkerNpm.optional(),
});

interface Looked {
  readonly invocation: Invocation;
  readonly config: z.output<typeof WorkerFile>;
  readonly secrets: SecretGround;
  /** Makes a path absolute, from the configuration's folder. */
  readonly at: (path: string) => string;
}

/** Whether the server answers and knows the key. A worker's key is forbidden to read, an unknown key is not authenticated. */
async function checkKey(args: Looked): Promise<Check[]> {
  const { url, key } = args.config;
  const from = secretPlace(args.secrets, key);
  const fault = await faultOfServer(url.replace(/\/+$/, ""), args.invocation);
  const server = fault ? bad("server", `${url}: ${fault.what}`, fault.fix) : good("server", url);
  const found = await secretValue(args.secrets, key);
  const secret = "value" in found ? found.value.trim() : "";
  if (secret === "")
    return [
      server,
      bad(
        "key",
        `${from} has no key that this user can read${whyNone(key, found)}`,
        "put the worker's key there, or change its permissions",
      ),
    ];
  if (!secret.startsWith("twp_wkr_"))
    return [server, bad("key", `${from} does not contain a worker key`, makeKey(args))];
  if (!server.ok) return [server, good("key", `${from} (not checked, because the server cannot be reached)`)];
  const token = createClient({ url, token: secret, fetch: networkFetch(args.invocation.config.environment) });
  const answer = await token.getMe({}, { retries: 0 }).then(() => null, toFailure);
  return answer?.code === "unauthenticated"
    ? [server, bad("key", `the server does not know the key in ${from}`, makeKey(args))]
    : [server, good("key", `${from}, known to the server`)];
}

/** What a command or a Vault says. Of a file and a variable, the place says enough. */
function whyNone(source: SecretSource, found: SecretValue): string {
  return "fault" in found && ("exec" in source || "vault" in source) ? `: ${found.fault}` : "";
}

function makeKey(args: Looked): string {
  return `an admin creates one: \`towpath key create NAME --worker --pool ${args.config.pool}\``;
}

const Jwk = z.looseObject({ kid: z.string() });
const TrustFile = z.union([z.object({ keys: z.array(Jwk) }), Jwk.transform((key) => ({ keys: [key] }))]);

async function checkTrusted(args: Looked): Promise<Check> {
  const kids: string[] = [];
  for (const key of args.config.trustedKeys) {
    const found = "file" in key ? await readJsonFile(args.at(String(key.file)), TrustFile) : { keys: [key] };
    if (found === null)
      return bad(
        "trusted keys",
        `${String(key.file)} does not contain a public key`,
        "copy signing.pub.jwk or signing.trust.json there",
      );
    for (const jwk of found.keys) {
      if ("d" in jwk)
        return bad("trusted keys", `${jwk.kid} is a private key`, "give the worker signing.pub.jwk instead");
      kids.push(`${jwk.kid.slice(0, 12)}${"revokedAt" in jwk ? " (revoked)" : ""}`);
    }
  }
  return good("trusted keys", kids.join(", "));
}

/** Why this user cannot read a folder, with the fix, or null. */
async function folderFault(path: string): Promise<{ what: string; fix: string } | null> {
  const fault = (one: string, mode: number) =>
    access(one, mode).then(
      () => null,
      (error: NodeJS.ErrnoException) => error.code ?? "unknown",
    );
  const code = await fault(path, constants.R_OK | constants.X_OK);
  if (code === null) return null;
  if (code === "ENOENT")
    return {
      what: `${path} does not exist`,
      fix: "deploy once, which creates it, or correct the path",
    };
  if (code !== "EACCES" && code !== "EPERM")
    return { what: `${path} cannot be read (${code})`, fix: "correct the path" };
  const closed = (await firstClosed(path, fault)) ?? path;
  return {
    what: `${closed} is closed to this user${closed === path ? "" : `, so ${path} cannot be read`}`,
    fix: "let the worker's user read it, or move the registry to a folder that both users may read",
  };
}

/** The topmost folder of a path that this user cannot enter. */
async function firstClosed(
  path: string,
  fault: (path: string, mode: number) => Promise<string | null>,
): Promise<string | null> {
  const above = dirname(path);
  const closed = above === path ? null : await firstClosed(above, fault);
  return closed ?? ((await fault(path, constants.X_OK)) === null ? null : path);
}

/** Calls git like the worker, without this user's own configuration and passwords. */
const AS_THE_WORKER = {
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_CONFIG_GLOBAL: "/dev/null",
  HOME: "/dev/null",
  GIT_ASKPASS: "",
  GIT_ALLOW_PROTOCOL: "https:http:file:ssh",
};

/** The addresses that a worker accepts. */
const WORKER_ADDRESS = /^(https?|file|ssh):\/\//;

function hasLogin(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, username, password } = new URL(url);
  return (protocol !== "ssh:" && username !== "") || password !== "";
}

/** A registry's password, empty if it has none. */
async function passwordOf(
  { secrets }: Looked,
  source: SecretSource | undefined,
): Promise<{ password: string; fault: string | null }> {
  if (source === undefined) return { password: "", fault: null };
  const found = await secretValue(secrets, source);
  if ("value" in found) return { password: found.value, fault: null };
  const fault = `its password cannot be read from ${secretPlace(secrets, source)}${whyNone(source, found)}`;
  return { password: "", fault };
}

async function checkGitRegistry(
  args: Looked,
  { title, registry, asked }: AskedOf<Extract<Registry, { kind: "git" }>>,
): Promise<Check> {
  const { url, username = "", password: source } = registry;
  const shown = withoutPassword(url);
  if (!WORKER_ADDRESS.test(url))
    return bad(
      title,
      `${shown} is not an https://, ssh://, http:// or file:// address, so the worker refuses it`,
      isAbsolute(url) ? `write ${pathToFileURL(url).href}` : "use the repository's https:// address",
    );
  if (hasLogin(url))
    return bad(
      title,
      `${shown} contains a login, which the worker refuses`,
      "move it to the registry's username and password",
    );
  if (url.startsWith("ssh:")) return await checkSshRegistry(args, { title, registry, asked });
  const { password, fault: noPassword } = await passwordOf(args, source);
  if (noPassword !== null) return bad(title, noPassword, "set it there");
  const { cwd, config } = args.invocation;
  const login = password || username ? { username, password } : undefined;
  const environment = { ...config.environment, ...AS_THE_WORKER };
  const fault = await faultOfGit({ url, login, cwd, environment }, asked);
  const fix =
    login === undefined
      ? "check the address, the network and HTTPS_PROXY, and set a password if the registry needs one"
      : "check the address, the network and HTTPS_PROXY, and the username and password";
  return fault === null
    ? good(title, login === undefined ? shown : `${shown}, with its login`)
    : bad(title, fault.what, fault.fix ?? fix);
}

/** A registry to check, and a file that must be there, if only that matters. */
interface AskedOf<One> {
  readonly title: string;
  readonly registry: One;
  readonly asked?: FileQuestion | undefined;
}

function faultOfGit(question: GitQuestion, asked: FileQuestion | undefined) {
  return asked === undefined ? gitFault(question) : gitFileFault(question, asked);
}

/** Reads a repository over SSH like the worker, with the key and the host keys of the configuration alone. */
async function checkSshRegistry(
  args: Looked,
  { title, registry, asked }: AskedOf<Extract<Registry, { kind: "git" }>>,
): Promise<Check> {
  const { url } = registry;
  const texts: string[] = [];
  for (const field of ["key", "knownHosts"] as const) {
    const source = registry[field];
    if (source === undefined)
      return bad(title, `it has no ${field}`, `set "${field}", as for each ssh:// address`);
    const found = await secretValue(args.secrets, source);
    if (!("value" in found))
      return bad(
        title,
        `its ${field} cannot be read from ${secretPlace(args.secrets, source)}`,
        "set it there",
      );
    texts.push(found.value);
  }
  const { cwd, config } = args.invocation;
  const [key = "", knownHosts = ""] = texts;
  await using ssh = await openSshFiles({ key, knownHosts });
  const environment = { ...config.environment, ...AS_THE_WORKER, ...ssh.environment };
  const fault = await faultOfGit({ url, login: undefined, cwd, environment }, asked);
  const fix =
    "check the address, the key, and the server's line in knownHosts (`ssh-keyscan HOST` prints it)";
  return fault === null ? good(title, `${url}, with its login`) : bad(title, fault.what, fix);
}

/** A secret of a registry cannot be read. */
class Unread extends Error {}

async function checkWebRegistry(
  args: Looked,
  { title, registry, asked: file }: AskedOf<Exclude<Registry, { kind: "oci-layout" | "git" }>>,
): Promise<Check> {
  const { environment } = args.invocation.config;
  let hasLogin = "username" in registry && registry.username !== undefined;
  const read = async (source: SecretSource, field: string) => {
    hasLogin = true;
    const found = await secretValue(args.secrets, source);
    if ("value" in found) return found.value;
    const place = secretPlace(args.secrets, source);
    throw new Unread(`its ${field} cannot be read from ${place}${whyNone(source, found)}`);
  };
  try {
    const asked = await readSecretsOf(withDefaultCredentials(registry, environment), read);
    const trouble = await registryTroubleOf(asked, { environment, push: false, asked: file });
    if (trouble !== null) return bad(title, trouble.what, trouble.fix);
    return good(title, hasLogin ? `${registry.url}, with its login` : registry.url);
  } catch (error) {
    if (error instanceof Unread) return bad(title, error.message, "set it there");
    throw error;
  }
}

async function checkRegistry(args: Looked, { title, registry, asked }: AskedOf<Registry>): Promise<Check> {
  if (registry.kind === "git") return checkGitRegistry(args, { title, registry, asked });
  if (registry.kind !== "oci-layout") return checkWebRegistry(args, { title, registry, asked });
  const path = args.at(registry.path);
  const fault = await folderFault(path);
  return fault === null ? good(title, path) : bad(title, fault.what, fault.fix);
}

/** The deployers' ledger, read from where the worker reads it, and its chain. */
async function checkLedger(args: Looked): Promise<Check[]> {
  const { ledger } = args.config;
  if (ledger === undefined) return [];
  if (typeof ledger === "string") return [await checkLedgerFile(args.at(ledger))];
  const { from: registry, file, branch } = ledger;
  const asked = { file, branch, faultIn: ledgerFault };
  const reached = await checkRegistry(args, { title: "ledger", registry, asked });
  const where = branch === undefined ? file : `${file} in the branch ${branch}`;
  return [reached.ok ? good("ledger", `${reached.detail}: ${where}`) : reached];
}

async function checkSecrets({ config, secrets }: Looked): Promise<Check[]> {
  const checks: Check[] = [];
  for (const [name, source] of Object.entries(config.secrets)) {
    const found = await secretValue(secrets, source);
    const title = `secret ${name}`;
    checks.push(
      "fault" in found
        ? bad(title, found.fault, "set it on the worker's machine, or correct its source")
        : good(title, secretPlace(secrets, source)),
    );
  }
  return checks;
}

/** Checks a worker's configuration, as this user and in this environment. @throws Failure if there is none. */
export async function checkWorkerFile(invocation: Invocation, file: string): Promise<Check[]> {
  const path = resolve(invocation.cwd, file);
  const config = await readJsonFile(path, WorkerFile);
  if (config === null)
    throw new Failure(`${path} is not a readable worker configuration.`, {
      exit: "configuration",
      next: [`\`towpath worker start --config ${file}\` names each fault`],
    });
  const plain = { environment: invocation.config.environment, folder: dirname(path) };
  const ground = await openSecretGround(plain, config);
  const a: Looked = { invocation, config, secrets: ground, at: (one) => resolve(dirname(path), one) };
  const registries: Check[] = [];
  for (const [name, registry] of Object.entries(config.registries))
    registries.push(await checkRegistry(a, { title: `registry ${name}`, registry }));
  return [
    ...(await checkKey(a)),
    await checkTrusted(a),
    ...(await checkLedger(a)),
    ...registries,
    ...(await checkStores(ground, config)),
    await checkFolder("state", a.at(config.stateDir)),
    ...(await checkWalls(invocation, path)),
    checkLogs({ logs: config.logs, hasKeys: config.workspaceKeys.length > 0 }),
    ...(await checkSecrets(a)),
    ...(await checkPython({ ...ground, at: a.at }, config.python)),
    ...(await checkNpm({ ...ground, at: a.at }, config.npm)),
  ];
}
