import { Id, Problem } from "@towpath/contract";
import { errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import { ANY_KEY, Cache, type Deps, dateOf, ForeignToken, type WorkerScope } from "../kernel/index.ts";
import { findKey } from "./store.ts";

/** How long a worker's session token lasts, milliseconds. */
export const WORKER_TOKEN_MS = 10 * 60_000;

/** How long the state of a worker key is cached, milliseconds. */
const REVOCATION_CACHE_MS = 30_000;
const REVOCATION_CACHE_MAX = 10_000;
/** The most verified tokens that are cached. */
const TOKEN_CACHE_MAX = 10_000;

const ISSUER = "towpath";
const AUDIENCE = "towpath-worker";
const ALGORITHM = "HS256";

const Claims = z.object({
  workspaceId: Id,
  workerId: Id,
  poolId: Id,
  keyId: Id,
  generation: z.int().min(0),
  incarnation: Id.optional(),
  protocol: z.int().optional().describe("Missing: a replica of an earlier release issued the token."),
});

/** The content of a worker's session token. */
export type WorkerClaims = z.infer<typeof Claims>;

/** Signs a worker's session token, which lasts WORKER_TOKEN_MS. */
export function issueWorkerToken(
  deps: Pick<Deps, "clock" | "sessionSecret">,
  claims: WorkerClaims,
): Promise<string> {
  const atSeconds = Math.floor(deps.clock.nowMs() / 1000);
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: ALGORITHM, typ: "JWT" })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setIssuedAt(atSeconds)
    .setExpirationTime(atSeconds + WORKER_TOKEN_MS / 1000)
    .sign(deps.sessionSecret);
}

const expired = (detail: string, cause?: unknown) =>
  new Problem("session-expired", `${detail} Exchange the worker key again.`, { cause });

/** The content of a token, and when it expires. */
interface ReadToken {
  readonly claims: WorkerClaims;
  readonly expiresAtMs: number;
}

async function readToken(deps: Deps, token: string): Promise<ReadToken> {
  try {
    const { payload } = await jwtVerify(token, deps.sessionSecret, {
      algorithms: [ALGORITHM],
      issuer: ISSUER,
      audience: AUDIENCE,
      currentDate: dateOf(deps.clock.nowMs()),
    });
    return { claims: Claims.parse(payload), expiresAtMs: (payload.exp ?? 0) * 1000 };
  } catch (cause) {
    if (cause instanceof errors.JWTExpired) throw expired("The worker's session has expired.", cause);
    if (cause instanceof errors.JOSEError && !(cause instanceof errors.JWTClaimValidationFailed))
      throw new ForeignToken(
        "session-expired",
        "This control plane did not sign the worker's session token. Exchange the worker key again.",
        { cause },
      );
    throw expired("The worker's session token is not valid.", cause);
  }
}

/**
 * Makes the function that verifies tokens. It caches each token until it expires: a worker sends the same one with
 * every call for ten minutes.
 */
function tokenReader(deps: Deps): (token: string) => Promise<WorkerClaims> {
  const known = new Map<string, ReadToken>();
  return async (token) => {
    const found = known.get(token);
    if (found !== undefined && deps.clock.nowMs() < found.expiresAtMs) return found.claims;
    known.delete(token);
    const read = await readToken(deps, token);
    if (known.size >= TOKEN_CACHE_MAX) known.clear();
    known.set(token, read);
    return read.claims;
  };
}

/**
 * Makes the check of workers' tokens: signature, expiry, and whether the key is revoked. A key is read again after half
 * a minute, or at once when it is revoked. A session ends with the incarnation of the database in which it began. So
 * workers of an earlier release also offer their attempts again before any other call.
 */
export function workerTokenCheck(
  deps: Deps,
): (token: string) => Promise<{ scope: WorkerScope; keyId: string }> {
  const standing = new Cache<{ readonly valid: boolean; readonly sealed: boolean }>({
    clock: deps.clock,
    forMs: REVOCATION_CACHE_MS,
    most: REVOCATION_CACHE_MAX,
  });
  const readClaims = tokenReader(deps);
  deps.wakes.subscribe("key", ANY_KEY, (keyId) => standing.forget(keyId));
  const find = async (keyId: string) => {
    const key = await findKey(deps.database.db, keyId);
    return { valid: key !== null && key.revokedAt === null, sealed: key?.sealed === true };
  };
  return async (token) => {
    const { keyId, incarnation, ...scope } = await readClaims(token);
    if (incarnation !== undefined && incarnation !== (await deps.incarnations.current()).id)
      throw expired("The database was restored or restarted.");
    const stands = standing.get(keyId) ?? (await standing.read(keyId, () => find(keyId)));
    if (stands?.valid !== true) throw expired("The worker's key is revoked.");
    return { scope: { ...scope, sealed: stands.sealed }, keyId };
  };
}
