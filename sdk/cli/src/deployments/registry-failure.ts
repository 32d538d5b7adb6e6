import { RegistryFault, type RegistryFaultCode, type RegistryGround } from "@towpath/contract/registries";
import { type EXIT, Failure } from "../failure.ts";
import { reachFault } from "../kernel/network.ts";
import { printable } from "../output.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** The longest use of a registry by one command, milliseconds. */
const PUSH_MS = 10 * 60_000;

/** How each fault ends the command, and what to do next. */
const ADVICE: Record<RegistryFaultCode, { exit: keyof typeof EXIT; next: string }> = {
  "registry-unreachable": {
    exit: "unreachable",
    next: "check the address, the network and HTTPS_PROXY, then try again",
  },
  unauthorized: {
    exit: "notPermitted",
    next: "check the username and password of the registry, and what they may do there",
  },
  "not-found": { exit: "configuration", next: "check the address of the registry" },
  "bad-source": { exit: "configuration", next: "correct the address of the registry" },
  "bad-answer": { exit: "configuration", next: "check the address, and what answers there" },
  "too-large": { exit: "configuration", next: "leave data out of the code with .towpathignore" },
  "digest-mismatch": { exit: "configuration", next: "find out who changed the registry's content" },
};

/** Why a registry could not be used, and the fix. */
export interface RegistryTrouble {
  readonly what: string;
  readonly fix: string;
  readonly exit: keyof typeof EXIT;
}

/** Explains a fault of a registry to a person on the customer's side. Null for any other error. */
export function registryTrouble(
  error: unknown,
  { environment, address }: { environment: Environment; address: string },
): RegistryTrouble | null {
  if (error instanceof DOMException && error.name === "TimeoutError")
    return {
      what: "The code registry did not answer in time.",
      exit: "unreachable",
      fix: ADVICE["registry-unreachable"].next,
    };
  if (!(error instanceof RegistryFault)) return null;
  const { exit, next } = ADVICE[error.code];
  const reached = error.code === "registry-unreachable" ? reachFault(address, { error, environment }) : null;
  const detail = error.detail === undefined ? "" : ` (${printable(error.detail)})`;
  const what = `${error.message.replace(/\.$/, "")}${detail}${reached === null ? "" : `: ${reached.what}`}.`;
  return { what, exit, fix: reached?.fix ?? next };
}

/** Uses a registry for a limited time. @throws Failure for its faults. */
export async function throughRegistry<T>(
  args: { readonly environment: Environment; readonly address: string; readonly limitMs?: number },
  use: (ground: RegistryGround) => Promise<T>,
): Promise<T> {
  const { environment, limitMs = PUSH_MS } = args;
  try {
    return await use({ environment, signal: AbortSignal.timeout(limitMs) });
  } catch (error) {
    const trouble = registryTrouble(error, args);
    if (trouble === null) throw error;
    throw new Failure(trouble.what, {
      exit: trouble.exit,
      code: "code-registry",
      next: [trouble.fix],
      cause: error,
    });
  }
}
