import { isSealedJson, newWorkspaceKey, SPEC_FORMAT, Spec, uuidv7 } from "@towpath/contract";
import { expect, test } from "vitest";
import { isSealedWhole, keyringOf, openOwnSpec, sealSpec } from "./seal-spec.ts";

/** A spec with this JSON Schema of its parameters. */
function specWith(parameters: { readonly [key: string]: string }): Spec {
  return Spec.parse({
    format: SPEC_FORMAT,
    workspaceId: uuidv7(0),
    deployment: "train",
    version: 1,
    floor: 1,
    issuedAt: new Date(0).toISOString(),
    expiresAt: null,
    code: { kind: "oci-layout", registry: "code", digest: `sha256:${"a".repeat(64)}` },
    entry: { kind: "command", argv: ["true"] },
    pools: ["local"],
    parameters,
  });
}

test.each([{}, { type: "object" }])(
  "the schema %j is sealed, because its key hides the titles of questions in paths",
  async (schema) => {
    const keyring = await keyringOf([newWorkspaceKey()]);
    const plain = specWith(schema);
    expect(isSealedWhole(plain)).toBe(false);
    const sealed = await sealSpec(keyring, plain);
    expect(isSealedJson(sealed.parameters)).toBe(true);
    expect(isSealedWhole(sealed)).toBe(true);
    expect(await openOwnSpec(keyring, sealed)).toEqual(plain);
  },
);
