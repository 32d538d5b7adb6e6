import { createHash } from "node:crypto";
import type { Assignment } from "@towpath/contract";
import { fetchCode } from "../code/index.ts";
import { type AheadVersion, aheadEnvironment } from "../launch/index.ts";
import type { ClaimedAttempt } from "./claimed-attempt.ts";
import type { AttemptDeps } from "./deps.ts";
import { codeRequest, type Prepared } from "./prepare.ts";

/**
 * The verified version of an attempt as a runner may load it before there is another attempt of it. Null where it may not: its author
 * said so, or the code would find an environment there that is not its attempt's, which may have secrets and devices.
 */
export function aheadVersion(
  deps: Pick<AttemptDeps, "cache" | "config">,
  claimed: Pick<ClaimedAttempt, "taken">,
  args: { assignment: Assignment; prepared: Pick<Prepared, "spec"> },
): AheadVersion | null {
  const { spec } = args.prepared;
  const { entry, deployment, version, expiresAt, code } = spec;
  if (!spec.loadAhead || entry.kind !== "flow") return null;
  if (spec.secrets.some(({ env }) => env !== null) || (claimed.taken?.gpus ?? []).length > 0) return null;
  return {
    deployment,
    version,
    key: createHash("sha256").update(args.assignment.spec).digest("base64url"),
    expiresAtMs: expiresAt === null ? null : Date.parse(expiresAt),
    code: { env: aheadEnvironment(spec), module: entry.module, exportName: entry.export },
    bring: async (signal) => await fetchCode(deps.cache, await codeRequest(deps, code), signal),
  };
}
