import type { GitRegistry } from "towpath/config";
import { Failure } from "../failure.ts";

/** The placeholder for the commit in a link. */
const PLACEHOLDER = "{commit}";

function refused(registry: GitRegistry, reason: string): Failure {
  return new Failure(`Links to commits of the registry "${registry.name}" cannot be created: ${reason}.`, {
    exit: "configuration",
    code: "no-commit-link",
    next: [
      `give the link in the registry's configuration: link: "https://git.example/team/flows/commit/${PLACEHOLDER}"`,
    ],
  });
}

/** An address that is safe to publish: https without a login. */
function openAddress(registry: GitRegistry, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== "https:") throw refused(registry, "its address does not use https");
  return url;
}

/** The path of a commit's page. GitHub, Gitea and Forgejo use the same. */
function wordsOf(host: string): string {
  if (host === "bitbucket.org") return "commits";
  return /(^|\.)gitlab\./.test(host) ? "-/commit" : "commit";
}

/** The page of a commit on the repository's host, without the login of the address. */
function linkOnHost(registry: GitRegistry, commit: string): string {
  const { origin, hostname, pathname } = openAddress(registry, registry.url);
  const repository = pathname.replace(/\/+$/, "").replace(/\.git$/, "");
  return `${origin}${repository}/${wordsOf(hostname)}/${commit}`;
}

/**
 * The link to a commit, if the project allows links. It derives from the repository's address, or the project gives it.
 * @throws Failure if there is no such address, or it contains a login.
 */
export function commitLink(registry: GitRegistry, commit: string): string | undefined {
  const { link } = registry;
  if (link === undefined || link === false) return undefined;
  if (link === true) return linkOnHost(registry, commit);
  if (!link.includes(PLACEHOLDER)) throw refused(registry, `its link has no ${PLACEHOLDER}`);
  const url = openAddress(registry, link.replaceAll(PLACEHOLDER, commit));
  if (url.username !== "" || url.password !== "") throw refused(registry, "its link contains a login");
  return url.href;
}
