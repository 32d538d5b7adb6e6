import {
  openHttpArchives,
  openNpmPackage,
  openOciRepository,
  openS3Archives,
  type RegistryGround,
} from "@towpath/contract/registries";
import { registryTrouble } from "../deployments/registry-failure.ts";
import { s3Access, type WebRegistry, type WithSecrets } from "../deployments/registry-login.ts";

/** The longest that a registry may take to answer, milliseconds. */
const PATIENCE_MS = 15_000;

/** A registry with its secrets, of a project or of a worker. */
export type RegistryAccess = WithSecrets<
  WebRegistry extends infer One ? (One extends unknown ? Omit<One, "name"> : never) : never
>;

/** Why a registry cannot be used, and the fix. */
export interface RegistryTrouble {
  readonly what: string;
  readonly fix: string;
}

/** Checks a registry with its login. Null: it can be used. */
export async function registryTroubleOf(
  registry: RegistryAccess,
  args: {
    readonly environment: Readonly<Record<string, string | undefined>>;
    /** Whether the login must allow to push. */
    readonly push: boolean;
  },
): Promise<RegistryTrouble | null> {
  const { environment, push } = args;
  try {
    await check(registry, { push, ground: { environment, signal: AbortSignal.timeout(PATIENCE_MS) } });
    return null;
  } catch (error) {
    const address = registry.kind === "s3" ? (registry.endpoint ?? "https://s3.amazonaws.com") : registry.url;
    const trouble = registryTrouble(error, { environment, address });
    if (trouble === null) throw error;
    return { ...trouble, what: trouble.what.replace(/\.$/, "") };
  }
}

async function check(
  registry: RegistryAccess,
  { push, ground }: { push: boolean; ground: RegistryGround },
): Promise<void> {
  await using opened = open(registry, { push, ground });
  await opened.check();
}

function open(registry: RegistryAccess, { push, ground }: { push: boolean; ground: RegistryGround }) {
  switch (registry.kind) {
    case "oci":
      return openOciRepository({ access: registry, ground, push });
    case "s3":
      return openS3Archives(s3Access(registry), ground);
    case "npm":
      return openNpmPackage(registry, ground);
    case "archive":
      return openHttpArchives(registry, ground);
  }
}
