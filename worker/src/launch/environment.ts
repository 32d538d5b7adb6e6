import { GATEWAY_ENV, type Spec } from "@towpath/contract";

/**
 * Defaults that a spec can replace. Python would write its log in large blocks. Root would not notice that the
 * code is shared and read-only. Indices of GPUs mean what `nvidia-smi` means by them.
 */
const DEFAULT_ENV = {
  PYTHONUNBUFFERED: "1",
  PYTHONDONTWRITEBYTECODE: "1",
  CUDA_DEVICE_ORDER: "PCI_BUS_ID",
} as const;

/** The allowed part of the worker's environment. Every process that it starts may see it. */
export function allowedEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  allow: readonly string[],
): Record<string, string> {
  const allowed: Record<string, string> = {};
  for (const name of allow) {
    const value = environment[name];
    if (value !== undefined) allowed[name] = value;
  }
  return allowed;
}

/** The parts of an attempt's environment. */
export interface AttemptEnvironment {
  readonly spec: Pick<Spec, "env" | "secrets">;
  readonly secrets: ReadonlyMap<string, string>;
  /** Ids of the devices that only this attempt has. */
  readonly gpus: readonly string[];
  readonly gateway: Readonly<Record<keyof typeof GATEWAY_ENV, string>>;
}

/**
 * What one attempt gets in addition to the allowed environment: the signed variables, the secrets that ask for a
 * variable, its gateway and its GPUs. Later ones win, so a spec cannot redirect the gateway or take another
 * attempt's device.
 */
export function attemptEnvironment(args: AttemptEnvironment): Record<string, string> {
  const added = { ...signedEnvironment(args), ...deviceEnvironment(args.gpus) };
  added[GATEWAY_ENV.socket] = args.gateway.socket;
  added[GATEWAY_ENV.tokenFile] = args.gateway.tokenFile;
  added[GATEWAY_ENV.runId] = args.gateway.runId;
  added[GATEWAY_ENV.parametersFile] = args.gateway.parametersFile;
  added[GATEWAY_ENV.workDir] = args.gateway.workDir;
  added[GATEWAY_ENV.newestLineFile] = args.gateway.newestLineFile;
  return added;
}

/** What code that is loaded before its attempt gets: no secret and no device. */
export function aheadEnvironment(spec: AttemptEnvironment["spec"]): Record<string, string> {
  return { ...signedEnvironment({ spec, secrets: new Map() }), ...deviceEnvironment([]) };
}

/** Empty hides every device. */
function deviceEnvironment(gpus: readonly string[]): Record<string, string> {
  return { CUDA_VISIBLE_DEVICES: gpus.join(",") };
}

/** The signed variables, and the secrets that ask for one. */
export function signedEnvironment(
  args: Omit<AttemptEnvironment, "gateway" | "gpus">,
): Record<string, string> {
  const added: Record<string, string> = { ...DEFAULT_ENV, ...args.spec.env };
  for (const { name, env } of args.spec.secrets) {
    const value = args.secrets.get(name);
    if (env !== null && value !== undefined) added[env] = value;
  }
  return added;
}
