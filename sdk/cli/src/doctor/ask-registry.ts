import {
  openHttpArchives,
  openNpmPackage,
  openOciRepository,
  openS3Archives,
  type RegistryGround,
} from "@towpath/contract/registries";
import { registryTrouble } from "../deployments/registry-failure.ts";
import { s3Access, type WebRegistry, type WithSecrets } from "../deployments/registry-login.ts";
import type { FileQuestion } from "./ask-git.ts";

/** The longest that a registry may take to answer, milliseconds. */
const PATIENCE_MS = 15_000;
/** The largest file that is read, bytes. A worker reads no larger ledger. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

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
    /** A file below the address of archives that must be there. @default none */
    readonly asked?: Pick<FileQuestion, "file" | "faultIn"> | undefined;
  },
): Promise<RegistryTrouble | null> {
  const { environment, push, asked } = args;
  try {
    const ground = { environment, signal: AbortSignal.timeout(PATIENCE_MS) };
    if (asked === undefined) await check(registry, { push, ground });
    else return await fileTrouble(registry, { asked, ground });
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

async function fileTrouble(
  registry: RegistryAccess,
  { asked, ground }: { asked: Pick<FileQuestion, "file" | "faultIn">; ground: RegistryGround },
): Promise<RegistryTrouble | null> {
  await using opened = open(registry, { push: false, ground });
  const wrong = (what: string) => ({
    what: `${asked.file} in ${registry.url}: ${what}`,
    fix: "check the address and the file's path",
  });
  if (!("file" in opened)) return wrong("this kind of registry has no single files");
  const chunks: Uint8Array[] = [];
  const answer = await opened.file(asked.file);
  let bytes = 0;
  for await (const chunk of answer.bytes()) {
    bytes += chunk.length;
    if (bytes > FILE_BYTES_MAX) {
      answer.discard();
      return wrong(`it is larger than ${FILE_BYTES_MAX >> 20} MiB`);
    }
    chunks.push(chunk);
  }
  const fault = asked.faultIn(Buffer.concat(chunks).toString("utf8"));
  return fault === null ? null : wrong(fault);
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
