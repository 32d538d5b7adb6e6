import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  type Archives,
  archiveUrl,
  type HttpArchiveAccess,
  openHttpArchives,
  openS3Archives,
  type RegistryGround,
  type S3ArchiveAccess,
} from "@towpath/contract/registries";
import { Failure } from "../failure.ts";
import { writeWhole } from "../kernel/state-folder.ts";
import type { CodeTree } from "./code-tree.ts";
import { layerOf } from "./oci-layout.ts";
import type { Project } from "./project.ts";
import type { Pushed } from "./pushed.ts";
import { throughRegistry } from "./registry-failure.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A code tree as a `tar.gz`, named by its SHA-256. The same tree gives the same archive. */
interface CodeArchive {
  readonly hex: string;
  readonly bytes: Buffer;
}

async function archiveOf(tree: CodeTree): Promise<CodeArchive> {
  const bytes = await layerOf(tree);
  return { hex: createHash("sha256").update(bytes).digest("hex"), bytes };
}

/** The digest of a code tree's archive. */
export async function archiveDigest(tree: CodeTree): Promise<string> {
  return `sha256:${(await archiveOf(tree)).hex}`;
}

/** Uploads code to a bucket, unless it is there. @throws Failure. */
export async function pushToS3(
  tree: CodeTree,
  { access, environment }: { access: S3ArchiveAccess; environment: Environment },
): Promise<Pushed> {
  const archive = await archiveOf(tree);
  const address = access.endpoint ?? "https://s3.amazonaws.com";
  const isNew = await throughRegistry({ environment, address }, async (ground) => {
    await using archives = openS3Archives(access, ground);
    return await archives.push(archive);
  });
  return { digest: `sha256:${archive.hex}`, isNew };
}

/**
 * Uploads code to a web server, or checks that somebody has uploaded it. If not, the archive is kept in `.towpath/archives`.
 * @throws Failure.
 */
export async function pushToWebServer(
  tree: CodeTree,
  to: {
    readonly access: HttpArchiveAccess;
    readonly environment: Environment;
    /** Whether the server takes PUT. */
    readonly push: boolean;
    /** The project's folder. */
    readonly root: string;
  },
): Promise<Pushed> {
  const { access, environment } = to;
  const archive = await archiveOf(tree);
  const isThere = await throughRegistry({ environment, address: access.url }, async (ground) => {
    await using archives = openHttpArchives(access, ground);
    if (to.push) return !(await archives.push(archive));
    return (await archives.has({ hex: archive.hex, sizeBytes: archive.bytes.length })) || null;
  });
  if (isThere !== null) return { digest: `sha256:${archive.hex}`, isNew: !isThere };
  const file = join(to.root, ".towpath", "archives", `${archive.hex}.tar.gz`);
  await writeWhole(file, archive.bytes);
  throw new Failure("The code's archive is not on the web server yet. Nothing was registered.", {
    exit: "configuration",
    code: "archive-not-uploaded",
    next: [
      `upload ${file} to ${archiveUrl(access.url, archive.hex)}, then deploy again`,
      "or set `push: true` if the server takes PUT",
    ],
  });
}

/**
 * The archive that the configuration pins, after a look whether it is there. The worker checks its digest.
 * @throws Failure if it is not there, or if the project has flows, whose code the deploy must know.
 */
export async function pinnedArchive(
  project: Project,
  args: {
    readonly digest: string;
    readonly open: (ground: RegistryGround) => Archives;
    readonly address: string;
    readonly environment: Environment;
  },
): Promise<Pushed> {
  const { digest, open, address, environment } = args;
  const flow = project.deployments.find(({ entry }) => entry.kind !== "command");
  if (flow !== undefined)
    throw new Failure(
      `The registry pins the archive ${digest}, but "${flow.settings.deployment}" is a flow. Nothing was registered.`,
      {
        exit: "configuration",
        code: "digest-with-flows",
        next: [
          `move commands with their own archive to another project, or remove \`digest\` from the registry in ${project.configFile}`,
        ],
      },
    );
  await throughRegistry({ environment, address }, async (ground) => {
    await using archives = open(ground);
    const answer = await archives.open(digest.slice("sha256:".length));
    answer.discard();
  });
  return { digest, isNew: false };
}
