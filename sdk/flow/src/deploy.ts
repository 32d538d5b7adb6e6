import { type ExecFileException, execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { commandEnv, type Environment } from "./engine/config.ts";

/** The size of the code that a deploy pushes. */
export interface BundleSize {
  readonly files: number;
  readonly bytes: number;
  /** The largest files, largest first. */
  readonly largest: readonly { readonly path: string; readonly bytes: number }[];
}

/** The result of one deployment. */
export interface DeployOutcome {
  /** The deployment's name with its stage, such as `churn@prod`. */
  readonly deployment: string;
  readonly version: number;
  /** `planned`: a deploy would register this version. */
  readonly status: "registered" | "unchanged" | "planned";
  /** The digest of the code. */
  readonly digest: string;
  /** The key that signed the version. */
  readonly keyId: string;
  /** The fields that differ from the previous version. Null if that was signed with another key, or if there is none. */
  readonly changed: readonly string[] | null;
  /** Whether the deployment was removed, and comes back with this version. */
  readonly wasRemoved: boolean;
}

/** The code that a deploy pushed. */
export interface PushedCode {
  /** What workers' own configuration calls the registry. */
  readonly registry: string;
  /** The registry's address or folder, without a login. */
  readonly address: string;
  readonly digest: string;
  /** The version of a package of an npm registry. */
  readonly version?: string;
  /** False: the registry had the same code already. */
  readonly isNew: boolean;
}

/** The result of a deploy. */
export interface DeployReport {
  readonly outcomes: readonly DeployOutcome[];
  /** Null if nothing is pushed, because only the plan was asked for. */
  readonly pushed: PushedCode | null;
  readonly code: BundleSize;
  /** What will keep runs from starting, and other faults that did not stop the deploy. Whole sentences. */
  readonly warnings: readonly string[];
  /** The deployer's ledger after the deploy, with the hashes of its heads. Null: none is kept for this control plane. */
  readonly ledger: {
    readonly file: string;
    readonly lines: number;
    readonly heads: readonly string[];
  } | null;
}

/** Options of `deploy`. What is left out comes from where `towpath deploy` takes it. */
export interface DeployOptions {
  /** The folder with `towpath.config.ts`. @default the current folder */
  readonly project?: string;
  /** The stage to deploy for; false: none, although the project has stages. Required if the project has stages. */
  readonly stage?: string | false;
  /** The deployments to register. @default all of the project */
  readonly deployments?: readonly string[];
  /** Only reports what a deploy would change. @default false */
  readonly plan?: boolean;
  /** Deploys code that is ten times larger than at the last deploy. @default false */
  readonly allowGrowth?: boolean;
  /** The control plane and key. @default those of the environment, the nearest `.towpath/` or the profile in use */
  readonly connection?: { readonly url: string; readonly key: string } | { readonly profile: string };
  /** A file with the private key that signs. @default `TOWPATH_SIGNING_KEY_FILE`, else the key in the state folder */
  readonly signingKeyFile?: string;
  /** Stops the deploy. What it has registered stays. */
  readonly signal?: AbortSignal;
}

/** A deploy that was refused. The message is a whole sentence. */
export class DeployFailure extends Error {
  override readonly name = "DeployFailure";
  /** What is wrong, such as `pool-not-found`, `bad-config`, `no-signing-key` or a code of the HTTP API. */
  readonly code: string;
  /** The fields that are wrong. */
  readonly faults: readonly { readonly path: string; readonly message: string }[];
  /** What to do next, one step each. */
  readonly next: readonly string[];

  constructor({ message, code, faults, next }: Pick<DeployFailure, "message" | "code" | "faults" | "next">) {
    super(message);
    this.code = code;
    this.faults = faults;
    this.next = next;
  }
}

/** The most output of the command, bytes. */
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

function argumentsOf(options: DeployOptions): string[] {
  const { project, stage, deployments = [], plan = false, allowGrowth = false, connection } = options;
  return [
    "deploy",
    "--json",
    ...(project === undefined ? [] : ["--project", project]),
    ...(stage === undefined ? [] : stage === false ? ["--no-stage"] : ["--stage", stage]),
    ...(plan ? ["--plan"] : []),
    ...(allowGrowth ? ["--yes"] : []),
    ...(connection !== undefined && "profile" in connection ? ["--profile", connection.profile] : []),
    "--",
    ...deployments,
  ];
}

/** Keys are in the environment and not in the arguments, which other users of the machine can read. */
function environmentOf({ connection, signingKeyFile }: DeployOptions, env: Environment): Environment {
  const { TOWPATH_PROFILE: profile, ...rest } = env;
  const isGiven = connection !== undefined && "url" in connection;
  return {
    ...rest,
    ...(isGiven
      ? { TOWPATH_URL: connection.url, TOWPATH_KEY: connection.key }
      : { TOWPATH_PROFILE: profile }),
    ...(signingKeyFile === undefined ? {} : { TOWPATH_SIGNING_KEY_FILE: signingKeyFile }),
  };
}

/** A JSON object in text, or null. */
function objectIn(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** The failure in a line of the command's output. Only the command of the same release writes such a line. */
function failureOf(line: string): DeployFailure | null {
  const found = objectIn(line);
  if (found === null || !("error" in found)) return null;
  const { error } = found as { error: DeployFailure };
  return new DeployFailure(error);
}

/** The failure in the command's output: the last one in JSON, else its last line. The project's modules may print there too. */
function failureIn(error: ExecFileException, stderr: string): DeployFailure {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  for (const line of lines.toReversed()) {
    const failure = failureOf(line);
    if (failure !== null) return failure;
  }
  if (error.signal)
    return unfinished(
      `The process of the deploy was stopped with ${error.signal} before it printed a report.`,
    );
  const isOurs = typeof error.code === "string";
  return unfinished(isOurs ? error.message : (lines.at(-1) ?? "The deploy ended without a message."));
}

/** A failure of the process. It may have registered versions. */
function unfinished(message: string): DeployFailure {
  const next = ["deploy again: what is registered already stays unchanged"];
  return new DeployFailure({ message, code: "internal", faults: [], next });
}

/** The report in the command's output. @throws DeployFailure if there is none, as when a module of the project ends the process. */
function reportIn(stdout: string): DeployReport {
  const found = objectIn(stdout);
  // The command of the same release has written it.
  if (found !== null && "outcomes" in found) return found as DeployReport;
  throw unfinished(
    "The deploy ended without a report that can be read. A file of the project may end the process, or write to its standard output.",
  );
}

/**
 * Deploys a project, as the command `towpath deploy` does: bundles its flows, pushes the code to the registry, then signs and registers
 * a new version of each deployment that changed. To repeat a deploy is safe: what has not changed is `unchanged`.
 *
 * It runs in a process of its own, so each call loads the project's files anew, and a faulty project cannot harm the caller.
 * @throws DeployFailure if it is refused; the reason of an aborted signal.
 * @example
 * ```ts
 * const { outcomes } = await deploy({ project: "flows", stage: "prod" });
 * for (const { deployment, version, status } of outcomes) console.log(deployment, version, status);
 * ```
 */
export async function deploy(options: DeployOptions = {}): Promise<DeployReport> {
  options.signal?.throwIfAborted();
  const command = fileURLToPath(import.meta.resolve("#cli"));
  const args = ["--disable-warning=ExperimentalWarning", command, ...argumentsOf(options)];
  const settings = {
    env: environmentOf(options, commandEnv()),
    maxBuffer: OUTPUT_BYTES_MAX,
    ...(options.signal && { signal: options.signal }),
  };
  return await new Promise((settle, reject) => {
    execFile(process.execPath, args, settings, (error, stdout, stderr) => {
      try {
        if (options.signal?.aborted) throw options.signal.reason;
        if (error !== null) throw failureIn(error, stderr);
        settle(reportIn(stdout));
      } catch (failure) {
        reject(failure);
      }
    });
  });
}
