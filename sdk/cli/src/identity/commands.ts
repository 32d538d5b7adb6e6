import { type Key, LIMITS, Problem, RoleName } from "@towpath/contract";
import { Failure } from "../failure.ts";
import { formatAge } from "../kernel/duration.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { findPool } from "../pools/find.ts";

/** What `towpath key create` is asked for. */
export interface KeyRequest {
  readonly name: string;
  readonly worker: boolean;
  readonly pool?: string | undefined;
  readonly role?: string | undefined;
}

/** The body of the request. @throws Failure when options do not go together. */
function keyBody(request: KeyRequest) {
  const { name, worker, pool, role } = request;
  if (!worker && pool !== undefined)
    throw new Failure("--pool is for worker keys.", {
      exit: "usage",
      next: [`\`towpath key create ${name} --worker --pool ${pool}\``],
    });
  if (worker && role !== undefined)
    throw new Failure("--role is for API keys; a worker key only serves a pool.", { exit: "usage" });
  if (worker) return { kind: "worker", name, pool: pool ?? null } as const;
  const parsed = RoleName.default("developer").safeParse(role);
  if (parsed.success) return { kind: "api", name, role: parsed.data } as const;
  throw new Failure(`"${role}" is not a role.`, {
    exit: "usage",
    next: [`roles: ${RoleName.options.join(", ")}`],
  });
}

/** `towpath key create NAME [--worker --pool POOL] [--role ROLE]`; prints the secret, this once. */
export async function createKey(invocation: Invocation, request: KeyRequest): Promise<void> {
  const { output } = invocation;
  const body = keyBody(request);
  const client = await invocation.client();
  if (body.kind === "worker" && body.pool !== null) await findPool(client, body.pool);
  const created = await client.createKey({ body });
  output.data(created);
  // The secret alone goes to stdout, so that a script can take it from there.
  output.line(created.secret);
  output.note(output.style.dim("This is the whole key, shown this once: copy it now."));
}

function keyRow(key: Key, invocation: Invocation): string[] {
  const { style } = invocation.output;
  const now = invocation.clock.nowMs();
  const used = key.lastUsedAt === null ? "never" : formatAge(key.lastUsedAt, now);
  const scope = key.kind === "worker" ? `pool ${key.pool ?? "any"}` : (key.role ?? "");
  const state = key.revokedAt === null ? "" : style.red(`revoked ${formatAge(key.revokedAt, now)}`);
  return [key.id, key.name, key.kind, scope, used, state];
}

/** `towpath key ls` */
export async function listKeys(invocation: Invocation): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  const page = await client.listKeys({ query: { limit: LIMITS.pageRows } });
  output.data(page);
  output.table(
    ["ID", "NAME", "KIND", "SCOPE", "LAST USED", ""],
    page.items.map((key) => keyRow(key, invocation)),
  );
}

/** `towpath key revoke ID` */
export async function revokeKey(invocation: Invocation, keyId: string): Promise<void> {
  const { output } = invocation;
  const client = await invocation.client();
  try {
    await client.revokeKey({ params: { keyId } });
  } catch (failure) {
    const unknown = failure instanceof Problem && ["key-not-found", "bad-request"].includes(failure.code);
    if (!unknown) throw failure;
    throw new Failure(`There is no key with the id "${keyId}".`, {
      exit: "notFound",
      code: "key-not-found",
      next: ["`towpath key ls` lists the keys with their ids"],
      cause: failure,
    });
  }
  output.data({ revoked: keyId });
  output.line(`${output.style.green("✓")} revoked ${keyId}`);
}
