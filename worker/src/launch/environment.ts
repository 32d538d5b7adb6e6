import { GATEWAY_ENV, type Spec } from "@towpath/contract";

/**
 * Set unless the spec says otherwise. Output goes to files, which Python would only fill a buffer at a time, so that a log
 * could not be followed; the code is shared and read-only, which root would not notice; and indices of GPUs mean what
 * `nvidia-smi` means by them.
 */
const DEFAULT_ENV = {
  PYTHONUNBUFFERED: "1",
  PYTHONDONTWRITEBYTECODE: "1",
  CUDA_DEVICE_ORDER: "PCI_BUS_ID",
} as const;

/** The allowed part of the worker's environment: what every process that it starts may see. */
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

/** What an attempt's environment is made of. */
export interface AttemptEnvironment {
  readonly spec: Pick<Spec, "env" | "secrets">;
  readonly secrets: ReadonlyMap<string, string>;
  /** Ids of the devices that are this attempt's alone. */
  readonly gpus: readonly string[];
  readonly gateway: Readonly<Record<keyof typeof GATEWAY_ENV, string>>;
}

/**
 * What is added to the allowed environment for one attempt: the signed variables, secrets that ask for one, and where the
 * gateway and its GPUs are. Later ones win, so a spec cannot redirect the gateway, nor take another's device.
 */
export function attemptEnvironment(args: AttemptEnvironment): Record<string, string> {
  const added = { ...signedEnvironment(args), ...deviceEnvironment(args.gpus) };
  added[GATEWAY_ENV.socket] = args.gateway.socket;
  added[GATEWAY_ENV.tokenFile] = args.gateway.tokenFile;
  added[GATEWAY_ENV.runId] = args.gateway.runId;
  added[GATEWAY_ENV.parametersFile] = args.gateway.parametersFile;
  added[GATEWAY_ENV.workDir] = args.gateway.workDir;
  return added;
}

/** What is added for the code of a version before there is an attempt of it: no secret, and no device. */
export function aheadEnvironment(spec: AttemptEnvironment["spec"]): Record<string, string> {
  return { ...signedEnvironment({ spec, secrets: new Map() }), ...deviceEnvironment([]) };
}

/** Empty hides every device: what has asked for none sees none. */
function deviceEnvironment(gpus: readonly string[]): Record<string, string> {
  return { CUDA_VISIBLE_DEVICES: gpus.join(",") };
}

/** What is added for the code of a version, whatever it is to do: the signed variables, and secrets that ask for one. */
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
