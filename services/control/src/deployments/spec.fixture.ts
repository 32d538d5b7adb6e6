import { SPEC_FORMAT, SPEC_TYP, type SpecInput } from "@towpath/contract";
import { CompactSign, generateKeyPair } from "jose";

/** A whole spec of a workspace, with what a test wants otherwise. */
export function specOf(workspaceId: string, more: Partial<SpecInput> = {}): SpecInput {
  return {
    ...{ format: SPEC_FORMAT, workspaceId, deployment: "penguins", version: 1, floor: 1 },
    ...{ issuedAt: "2026-01-01T00:00:00.000Z", expiresAt: null, pools: ["local"] },
    code: { kind: "oci-layout", registry: "local", digest: `sha256:${"ab".repeat(32)}` },
    entry: { kind: "flow", module: "flows/penguins.ts", export: "penguins" },
    parameters: {
      type: "object",
      properties: { island: { type: "string" } },
      additionalProperties: false,
    },
    ...more,
  };
}

const { privateKey } = await generateKeyPair("Ed25519");

/** Signs a spec, or whatever a test would rather sign, as a deployer does. */
export function sign(payload: unknown, header: { typ?: string; kid?: string } = {}): Promise<string> {
  return new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: "EdDSA", typ: SPEC_TYP, kid: "test-key", ...header })
    .sign(privateKey);
}
