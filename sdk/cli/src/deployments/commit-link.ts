import type { GitRegistry } from "towpath/config";
import { Failure } from "../failure.ts";

/** What a link's text has in the place of the commit. */
const PLACE = "{commit}";

function refused(registry: GitRegistry, reason: string): Failure {
  return new Failure(`The registry "${registry.name}" cannot link to its commits: ${reason}.`, {
    exit: "configuration",
    code: "no-commit-link",
    next: [`say where people read one: link: "https://git.example/team/flows/commit/${PLACE}"`],
  });
}

/** An address that anybody may see: over https, with no login in it. */
function openAddress(registry: GitRegistry, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== "https:") throw refused(registry, "its address is not one of https");
  return url;
}

/** How the page of a commit is called by what hosts the repository; GitHub, Gitea and Forgejo agree. */
function wordsOf(host: string): string {
  if (host === "bitbucket.org") return "commits";
  return /(^|\.)gitlab\./.test(host) ? "-/commit" : "commit";
}

/** The page of a commit on the host of its repository. A login in the address stays out of it. */
function linkOnHost(registry: GitRegistry, commit: string): string {
  const { origin, hostname, pathname } = openAddress(registry, registry.url);
  const repository = pathname.replace(/\/+$/, "").replace(/\.git$/, "");
  return `${origin}${repository}/${wordsOf(hostname)}/${commit}`;
}

/**
 * Where people read a commit, if the project says that links to it may leave; made of the repository's address, or as the
 * project writes it.
 * @throws Failure when there is no such address, or it would tell a login.
 */
export function commitLink(registry: GitRegistry, commit: string): string | undefined {
  const { link } = registry;
  if (link === undefined || link === false) return undefined;
  if (link === true) return linkOnHost(registry, commit);
  if (!link.includes(PLACE)) throw refused(registry, `its link has no ${PLACE}`);
  const url = openAddress(registry, link.replaceAll(PLACE, commit));
  if (url.username !== "" || url.password !== "") throw refused(registry, "its link holds a login");
  return url.href;
}
