import { describe, expect, test } from "vitest";
import { keyId } from "./keyring.ts";
import { type RefOwner, RefSigner, resultOwner, withoutContent } from "./sign-refs.ts";

const keyOf = (letter: string) => {
  const secret = Buffer.from(letter.repeat(32));
  return { id: keyId(secret), secret, sinceMs: 0 };
};
const workspace = { workspaceId: "one" };
const refs = new RefSigner([keyOf("a")], workspace);
const ref = {
  uri: "s3://bucket/runs/r/a.json",
  codec: "json",
  sizeBytes: 2,
  sha256: "ab".repeat(16) + "0".repeat(32),
};
const run = { deployment: "train", originId: "r1" };
const owner = resultOwner(run, { path: "load:1", inputHash: "i", codeVersion: "v" });
const signed = refs.signed(ref, owner);

test("a signed ref comes back as the flow wrote it", () => {
  expect(signed.sha256).toMatch(/^(ab){16}[0-9a-f]{32}$/);
  expect(signed).not.toEqual(ref);
  expect(refs.checked(signed, owner)).toEqual(ref);
});

describe("a ref is refused", () => {
  const other = refs.signed({ ...ref, uri: "s3://bucket/runs/r/b.json" }, owner);
  const mac = signed.sha256.slice(32);
  const changed = {
    "with another address": { ...signed, uri: other.uri },
    "with another codec": { ...signed, codec: "typed" },
    "with another size": { ...signed, sizeBytes: 3 },
    "with another content": { ...signed, sha256: "cd".repeat(16) + mac },
    "without its MAC": ref,
    "with the MAC of another ref": { ...signed, sha256: other.sha256 },
    "that is plain, as of an earlier release": { ...signed, sha256: "e".repeat(64) },
    "that was made impossible to load": withoutContent(signed),
  };
  test.each(Object.entries(changed))("%s", (_, one) => {
    expect(refs.checked(one, owner)).toBeNull();
  });

  const owners: Record<string, RefOwner> = {
    "of another path": resultOwner(run, { path: "load:2", inputHash: "i", codeVersion: "v" }),
    "of another input": resultOwner(run, { path: "load:1", inputHash: "j", codeVersion: "v" }),
    "of an input that the path identifies": resultOwner(run, { path: "load:1", codeVersion: "v" }),
    "of other code": resultOwner(run, { path: "load:1", inputHash: "i", codeVersion: "w" }),
    "of another chain of reruns": resultOwner(
      { ...run, originId: "r2" },
      { path: "load:1", inputHash: "i", codeVersion: "v" },
    ),
    "of another deployment": resultOwner(
      { ...run, deployment: "score" },
      { path: "load:1", inputHash: "i", codeVersion: "v" },
    ),
    "of a run": ["run", "r1"],
    "of a kept value": ["kept", "train", "r1", "load:1"],
    "of a job": ["handle", "train", "load:1"],
  };
  test.each(Object.entries(owners))("for the owner %s", (_, one) => {
    expect(refs.checked(signed, one)).toBeNull();
    expect(refs.checked(refs.signed(ref, one), one)).toEqual(ref);
  });

  test("by a worker of another workspace, or without the key", () => {
    expect(new RefSigner([keyOf("a")], { workspaceId: "other" }).checked(signed, owner)).toBeNull();
    expect(new RefSigner([keyOf("b")], workspace).checked(signed, owner)).toBeNull();
    expect(new RefSigner([], workspace).checked(signed, owner)).toBeNull();
  });
});

test("a ref of an older key is accepted while the key is in the settings", () => {
  expect(new RefSigner([keyOf("b"), keyOf("a")], workspace).checked(signed, owner)).toEqual(ref);
});
