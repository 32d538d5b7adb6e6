import { openHttpArchives, openS3Archives, type RegistryGround } from "@towpath/contract/registries";
import type { PushedCode } from "towpath/deploy";
import { archiveDigest, pinnedArchive, pushToS3, pushToWebServer } from "./archive-push.ts";
import type { CodeTree } from "./code-tree.ts";
import { pushToGit, withoutPassword } from "./git.ts";
import { npmPin, pushToNpm } from "./npm-push.ts";
import { imageOf, pushToLayout } from "./oci-layout.ts";
import { pushToOci } from "./oci-push.ts";
import type { Project, Registry } from "./project.ts";
import type { Pushed } from "./pushed.ts";
import { loggedIn, loginOf, s3Access } from "./registry-login.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Pushes code to the project's registry, or only computes the digest.
 * @returns The digest that pins it.
 * @throws Failure if the registry cannot be used.
 */
export async function pushCode(
  project: Project,
  args: { tree: CodeTree; environment: Environment; dryRun: boolean },
): Promise<PushedCode> {
  const { registry } = project;
  const address = "path" in registry ? registry.path : withoutPassword(registry.url);
  return {
    registry: registry.name,
    address,
    ...((await pinned(project, args.environment)) ?? (await pushTo(project, args))),
  };
}

/** The digest that the configuration pins, of an archive that the deploy does not make. */
export function pinnedDigest({ registry }: Pick<Project, "registry">): string | undefined {
  return registry.kind === "s3" || registry.kind === "archive" ? registry.digest : undefined;
}

async function pinned(project: Project, environment: Environment): Promise<Pushed | null> {
  const { registry } = project;
  const digest = pinnedDigest(project);
  if (digest === undefined || (registry.kind !== "s3" && registry.kind !== "archive")) return null;
  if (registry.kind === "archive") {
    const access = await loggedIn(registry, environment);
    const open = (ground: RegistryGround) => openHttpArchives(access, ground);
    return await pinnedArchive(project, { digest, open, address: access.url, environment });
  }
  const access = s3Access(await loggedIn(registry, environment));
  const open = (ground: RegistryGround) => openS3Archives(access, ground);
  const address = access.endpoint ?? "https://s3.amazonaws.com";
  return await pinnedArchive(project, { digest, open, address, environment });
}

async function pushTo(
  { registry, name, root }: Project,
  { tree, environment, dryRun }: { tree: CodeTree; environment: Environment; dryRun: boolean },
): Promise<Pushed> {
  if (registry.kind === "git") {
    const login = await loginOf(registry, environment);
    return await pushToGit(tree, { url: registry.url, login, project: name, environment, dryRun });
  }
  if (dryRun) return { ...(await pinOf(registry, tree)), isNew: true };
  switch (registry.kind) {
    case "oci-layout":
      return await pushToLayout(tree, { path: registry.path, project: name });
    case "oci":
      return await pushToOci(tree, {
        access: await loggedIn(registry, environment),
        project: name,
        environment,
      });
    case "s3":
      return await pushToS3(tree, { access: s3Access(await loggedIn(registry, environment)), environment });
    case "npm":
      return await pushToNpm(tree, {
        access: await loggedIn(registry, environment),
        project: name,
        environment,
      });
    case "archive": {
      const { push = false } = registry;
      return await pushToWebServer(tree, {
        access: await loggedIn(registry, environment),
        environment,
        push,
        root,
      });
    }
  }
}

/** What pins a code tree in a registry, without the registry. */
async function pinOf(
  registry: Exclude<Registry, { kind: "git" }>,
  tree: CodeTree,
): Promise<{ digest: string; version?: string }> {
  switch (registry.kind) {
    case "npm":
      return await npmPin(tree, registry.package);
    case "s3":
    case "archive":
      return { digest: await archiveDigest(tree) };
    default:
      return { digest: (await imageOf(tree)).digest };
  }
}
