import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SPEC_FORMAT, SPEC_TYP, type SpecInput } from "@towpath/contract";
import { CompactSign, importJWK } from "jose";
import type { Stack } from "./stack.ts";

/** Registers version 1 of a deployment without code. Fake agents execute its runs. */
export async function registerDeployment(
  stack: Pick<Stack, "client" | "folder">,
  args: { name: string; pool: string; limits?: SpecInput["limits"] },
): Promise<void> {
  const { workspace } = await stack.client.getMe();
  const spec: SpecInput = {
    format: SPEC_FORMAT,
    workspaceId: workspace.id,
    deployment: args.name,
    version: 1,
    floor: 1,
    issuedAt: "2026-01-01T00:00:00.000Z",
    expiresAt: null,
    pools: [args.pool],
    code: { kind: "oci-layout", registry: "local", digest: `sha256:${"ab".repeat(32)}` },
    entry: { kind: "flow", module: "flow.ts", export: "flow" },
    parameters: { type: "object" },
    limits: args.limits,
  };
  const jwk = JSON.parse(await readFile(join(stack.folder, "keys/signing.jwk"), "utf8"));
  const signed = await new CompactSign(new TextEncoder().encode(JSON.stringify(spec)))
    .setProtectedHeader({ alg: "EdDSA", typ: SPEC_TYP, kid: jwk.kid })
    .sign(await importJWK(jwk, "EdDSA"));
  await stack.client.registerVersion({ body: { spec: signed } });
}
