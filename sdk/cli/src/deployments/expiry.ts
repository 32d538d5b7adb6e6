import { deploymentNameOf, expiryOf, type Spec } from "@towpath/contract";

/** A day, milliseconds. */
export const DAY_MS = 24 * 3_600_000;

/** The days that a signed version is valid, unless the project says otherwise. */
const VALID_DAYS = 90;

/** How long a signed version of a project is valid, milliseconds. Null: without a limit. */
export function validMsOf({
  expiresInDays = VALID_DAYS,
}: {
  expiresInDays?: number | null | undefined;
}): number | null {
  return expiresInDays === null || expiresInDays === 0 ? null : expiresInDays * DAY_MS;
}

/** Whole sentences about a version that has expired or will soon. */
export function expiryNotes(spec: Spec, nowMs: number): string[] {
  const expiry = expiryOf({ expiresAt: spec.expiresAt, since: spec.issuedAt }, nowMs);
  if (expiry === null) return [];
  const name = `v${spec.version} of "${deploymentNameOf(spec)}"`;
  return [
    expiry.isPast
      ? `${name} expired at ${spec.expiresAt}: workers refuse it. \`towpath deploy --renew\` signs it again.`
      : `${name} expires in ${expiry.days === 1 ? "a day" : `${expiry.days} days`}. \`towpath deploy --renew\` signs it again.`,
  ];
}
