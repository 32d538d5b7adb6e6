import { type OciAccess, openOciRepository } from "@towpath/contract/registries";
import { registryTrouble } from "../deployments/registry-failure.ts";

/** The longest that a registry may take to answer, milliseconds. */
const PATIENCE_MS = 15_000;

/** Why a registry cannot be used, and the fix. */
export interface RegistryTrouble {
  readonly what: string;
  readonly fix: string;
}

/** Checks an OCI repository with its login. Null: it can be read, or pushed to. */
export async function ociTrouble(args: {
  readonly access: OciAccess;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whether the login must allow to push. */
  readonly push: boolean;
}): Promise<RegistryTrouble | null> {
  const { access, environment, push } = args;
  const ground = { environment, signal: AbortSignal.timeout(PATIENCE_MS) };
  await using repository = openOciRepository({ access, ground, push });
  try {
    await repository.check();
    return null;
  } catch (error) {
    const trouble = registryTrouble(error, { environment, address: access.url });
    if (trouble === null) throw error;
    return { ...trouble, what: trouble.what.replace(/\.$/, "") };
  }
}
