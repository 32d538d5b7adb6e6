import { LIMITS } from "@towpath/contract/words";
import { instant } from "../clock.ts";
import type { ArtifactDraft } from "../engine/records.ts";
import { type Scope, scopeFor } from "../engine/scope.ts";
import { ArtifactRefused } from "../problem.ts";

const KEY_CHARS_MAX = 200;
const TITLE_CHARS_MAX = 200;

/** An artifact without its time and task. */
export type Shown = Pick<ArtifactDraft, "key" | "title" | "body">;

/** The limits of a run's artifacts: with a worker that stores large bodies, and without. */
export function artifactLimits({ run }: Scope): { readonly bytes: number; readonly rows: number } {
  const { artifactBytes: bytes = LIMITS.artifactBytes } = run.host.facts;
  return { bytes, rows: bytes > LIMITS.artifactBytes ? LIMITS.storedRows : LIMITS.inlineRows };
}

/** The next step where a worker could store larger bodies. */
export function storedHint(limit: number, most: number): string {
  return limit < most ? ` (${most} on a worker with workspaceKeys)` : "";
}

function check(scope: Scope, shown: Shown): void {
  const { key, title = "" } = shown;
  if (key.length < 1 || key.length > KEY_CHARS_MAX)
    throw new ArtifactRefused(key.slice(0, KEY_CHARS_MAX), `needs a key of 1 to ${KEY_CHARS_MAX} characters`);
  if (title.length > TITLE_CHARS_MAX)
    throw new ArtifactRefused(key, `can have a title of at most ${TITLE_CHARS_MAX} characters`);
  const sizeBytes = Buffer.byteLength(JSON.stringify(shown.body));
  const { bytes } = artifactLimits(scope);
  if (sizeBytes > bytes)
    throw new ArtifactRefused(
      key,
      `has ${sizeBytes} bytes; the limit is ${bytes}${storedHint(bytes, LIMITS.storedBytes)}`,
    );
}

/** The scope of an artifact. */
export function artifactScope(): Scope {
  return scopeFor("artifact");
}

/** The record of an artifact, checked against its limits. */
export function draftOf(scope: Scope, shown: Shown): ArtifactDraft {
  check(scope, shown);
  return { type: "artifact", at: instant(scope.run.host.clock), task: scope.path || null, ...shown };
}

/** Posts an artifact of the current scope; resolves when there is room for more. */
export async function postArtifact(shown: Shown): Promise<void> {
  const scope = artifactScope();
  await scope.run.host.records.post(draftOf(scope, shown));
}
