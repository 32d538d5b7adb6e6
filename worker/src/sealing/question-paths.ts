import { type Assignment, sealedHeaderOf } from "@towpath/contract";
import type { WorkerKeyring } from "./keyring.ts";

/**
 * The title of a question in a path, and the name and key of an event. Long ones are a hash, which begins with `~`. None contains `/`,
 * `#` or `:`, so a path that is masked already is recognized. The name of an event alone stays.
 */
const HIDDEN = /((?:^|\/)wait:(?:input:|event:(?=~|[^/#: ]* )))([^/#:]+)/g;
/** Characters of a MAC in a path: 192 bits. */
const MAC_CHARS = 32;

/** A path as it may leave. */
export type PathMask = (path: string) => string;

/** The worker lacks the key that the run's paths are made with. */
export class NoPathKey extends Error {
  override readonly name = "NoPathKey";
}

/**
 * Replaces the titles of questions and the keys of events in the paths of one run by MACs; what it has replaced already stays. The key is the one that the signed spec is sealed with, so that
 * each attempt of the run has the same paths, also after a new key was added. Null: the spec is not sealed, and paths stay as they
 * are, like those of runs that began before the deployment was sealed.
 * @throws NoPathKey
 */
export function maskOf(
  keyring: WorkerKeyring | null,
  args: { assignment: Pick<Assignment, "spec" | "runId">; workspaceId: string },
): PathMask | null {
  const kid = kidOf(args.assignment.spec);
  if (kid === null) return null;
  const { workspaceId, assignment } = args;
  const macOf = (key: string) =>
    keyring?.macUnder(kid, "question", JSON.stringify([workspaceId, assignment.runId, key])) ?? null;
  if (macOf("") === null) throw new NoPathKey(`The worker lost the workspace key ${kid} of the run's paths.`);
  return (path) =>
    path.replace(HIDDEN, (_, head: string, key: string) => `${head}:${macOf(key)?.slice(0, MAC_CHARS)}`);
}

/** The id of the key that the parameters' schema in a verified spec is sealed with. */
function kidOf(jws: string): string | null {
  const [, payload = ""] = jws.split(".");
  const spec: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
  return sealedHeaderOf(Reflect.get(Object(spec), "parameters"))?.kid ?? null;
}
