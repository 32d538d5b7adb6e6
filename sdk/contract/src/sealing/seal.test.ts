import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isKeyCode } from "./fields.ts";
import { newWorkspaceKey } from "./keys.ts";
import { fromBase64url, partsOf, type SealedPlace, sealedHeaderOf } from "./place.ts";
import { openKeyring } from "./seal.ts";
import VECTORS from "./vectors.json" with { type: "json" };

const PLACE: SealedPlace = { workspace: "w", deployment: "churn", field: "error", origin: "run/1" };
const EXPECTED = { workspace: "w", field: "error", deployments: ["churn"], origins: ["run/1"] } as const;

describe("the test vectors", () => {
  test.each(VECTORS.opened)("$name is opened where it belongs", async ({ place, text, compact }) => {
    const ring = await openKeyring([VECTORS.key]);
    const { workspace, field, deployment, origin } = place as SealedPlace;
    expect(
      await ring.unseal(compact, { workspace, field, deployments: [deployment], origins: [origin] }),
    ).toBe(text);
    expect(ring.kids).toEqual([VECTORS.kid]);
  });

  test.each(VECTORS.refused)("$name is refused as $fault", async ({ fault, compact, expected }) => {
    const ring = await openKeyring([VECTORS.key]);
    const { field } = expected as { field: SealedPlace["field"] };
    await expect(ring.unseal(compact, { ...expected, field })).rejects.toMatchObject({
      name: "SealError",
      fault,
    });
  });

  test.each(VECTORS.macs)("the MAC for $purpose is the same everywhere", async ({ purpose, text, mac }) => {
    expect(await (await openKeyring([VECTORS.key])).mac(purpose, text)).toBe(mac);
  });
});

test("the code of a key stays while a new workspace key is put in front, and a code stays as it is", async () => {
  const [old, next] = [newWorkspaceKey(), newWorkspaceKey()];
  const code = await (await openKeyring([old])).keyCode("p", "order-7");
  expect(isKeyCode(code)).toBe(true);
  const rotated = await openKeyring([next, old]);
  expect(await rotated.keyCode("p", "order-7")).toBe(code);
  expect(await rotated.keyCode("p", code)).toBe(code);
  expect(await rotated.keyCode("q", "order-7")).not.toBe(code);
});

test("any text comes back, and never twice as the same ciphertext", async () => {
  const ring = await openKeyring([newWorkspaceKey()]);
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 2000 }), async (text) => {
      const [one, other] = [await ring.seal(PLACE, text), await ring.seal(PLACE, text)];
      expect(one).not.toBe(other);
      expect(await ring.unseal(one, EXPECTED)).toBe(text);
    }),
    { numRuns: 50 },
  );
});

/** The bytes of the parts of a sealed value. */
function bytesOf(compact: string): Uint8Array[] {
  const { iv, ciphertext, tag } = partsOf(compact);
  return [iv, ciphertext, tag].map(fromBase64url);
}

test("no changed character is ever accepted", async () => {
  const ring = await openKeyring([newWorkspaceKey()]);
  const compact = await ring.seal(PLACE, "division by zero");
  const change = fc.record({ at: fc.nat({ max: compact.length - 1 }), by: fc.constantFrom(..."Aa0_-.Z{") });
  await fc.assert(
    fc.asyncProperty(change, async ({ at, by }) => {
      const changed = compact.slice(0, at) + by + compact.slice(at + 1);
      fc.pre(changed !== compact);
      const opened = await ring.unseal(changed, EXPECTED).catch(() => null);
      // The last character of a part has bits that no byte uses: then the bytes are the same.
      if (opened !== null) expect(bytesOf(changed)).toEqual(bytesOf(compact));
    }),
    { numRuns: 200 },
  );
});

test("after a rotation the new key seals, and values of the old one still open", async () => {
  const [old, fresh] = [newWorkspaceKey(), newWorkspaceKey()];
  const before = await (await openKeyring([old])).seal(PLACE, "a");
  const rotated = await openKeyring([fresh, old]);
  const after = await rotated.seal(PLACE, "b");
  expect([await rotated.unseal(before, EXPECTED), await rotated.unseal(after, EXPECTED)]).toEqual(["a", "b"]);
  await expect((await openKeyring([old])).unseal(after, EXPECTED)).rejects.toMatchObject({
    fault: "unknown-key",
  });
});

test("a repeated request has the same fingerprint, and another value or key of the request another one", async () => {
  const ring = await openKeyring([newWorkspaceKey()]);
  const fp = async (text: string, fingerprintOf: string) =>
    sealedHeaderOf({ sealed: await ring.seal({ ...PLACE, field: "parameters" }, text, { fingerprintOf }) })
      ?.fp;
  const first = await fp("{}", "k");
  expect(await fp("{}", "k")).toBe(first);
  expect(await fp('{"a":1}', "k")).not.toBe(first);
  expect(await fp("{}", "l")).not.toBe(first);
});

test.each(["", "twp_seal_", "twp_api_x", `twp_seal_${"A".repeat(42)}`, `twp_seal_${"A".repeat(44)}`])(
  "%j is no workspace key, and the message does not repeat it",
  async (text) => {
    const failure = await openKeyring([text]).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: "SealError", fault: "malformed" });
    if (text !== "" && text !== "twp_seal_") expect(String(failure)).not.toContain(text);
  },
);
