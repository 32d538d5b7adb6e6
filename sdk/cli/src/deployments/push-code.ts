import type { PushedCode } from "towpath/deploy";
import type { CodeTree } from "./code-tree.ts";
import { pushToGit, withoutPassword } from "./git.ts";
import { imageOf, pushToLayout } from "./oci-layout.ts";
import { pushToOci } from "./oci-push.ts";
import type { Project } from "./project.ts";
import type { Pushed } from "./pushed.ts";
import { loginOf } from "./registry-login.ts";

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
  return { registry: registry.name, address, ...(await pushTo(project, args)) };
}

async function pushTo(
  { registry, name }: Project,
  { tree, environment, dryRun }: { tree: CodeTree; environment: Environment; dryRun: boolean },
): Promise<Pushed> {
  if (registry.kind === "git") {
    const login = await loginOf(registry, environment);
    return await pushToGit(tree, { url: registry.url, login, project: name, environment, dryRun });
  }
  if (dryRun) return { digest: (await imageOf(tree)).digest, isNew: true };
  if (registry.kind === "oci-layout") return await pushToLayout(tree, { path: registry.path, project: name });
  const { url, tokenUrl } = registry;
  const access = { url, tokenUrl, ...(await loginOf(registry, environment)) };
  return await pushToOci(tree, { access, project: name, environment });
}
