import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Spec } from "@towpath/contract";
import { expect, test } from "vitest";
import { caught, folderWith } from "../fixture.ts";
import {
  coSignSpec,
  generateSigningKey,
  publicHalf,
  readSigned,
  readSigningKey,
  signSpec,
} from "./signing-key.ts";

const spec = Spec.parse({
  format: 1,
  workspaceId: "0193a0b1-7c00-7000-8000-000000000001",
  deployment: "train",
  version: 1,
  floor: 1,
  issuedAt: "2026-01-01T00:00:00.000Z",
  expiresAt: null,
  pools: ["local"],
  code: { kind: "oci-layout", registry: "local", digest: `sha256:${"ab".repeat(32)}` },
  entry: { kind: "command", argv: ["true"] },
  parameters: { type: "object" },
});

/** What a key service does: signs stdin with the key in a file. `ENCODING` is how it prints the signature. */
const SIGN = `
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
const key = createPrivateKey({ key: JSON.parse(readFileSync(process.argv[2], "utf8")), format: "jwk" });
process.stdout.write(sign(null, readFileSync(0), key).toString(process.argv[3] ?? "base64") + "\\n");
`;

async function service(script = SIGN, more: object = {}, args: readonly string[] = []) {
  const key = await generateSigningKey();
  const folder = await folderWith({ "sign.mjs": script, "private.jwk": JSON.stringify(key) });
  const command = [
    process.execPath,
    join(folder.root, "sign.mjs"),
    join(folder.root, "private.jwk"),
    ...args,
  ];
  const file = join(folder.root, "service.jwk");
  await writeFile(file, JSON.stringify({ ...publicHalf(key), command, ...more }));
  const read = async () => {
    const found = await readSigningKey(file);
    if (found === null) throw new Error("There is no key.");
    return found;
  };
  return { key, read, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

test("a command signs with a key that this machine does not have", async () => {
  for (const encoding of ["base64", "base64url"]) {
    await using one = await service(SIGN, {}, [encoding]);
    const external = await one.read();
    const jws = await signSpec(spec, external);
    expect(await readSigned(jws, one.key)).toEqual(spec);
    // The same text as with the key itself.
    expect(jws).toBe(await signSpec(spec, one.key));
    expect(await coSignSpec(jws, external)).toBe(await coSignSpec(jws, one.key));
  }
});

test("what is no signature of the named key is not used", async () => {
  const other = await generateSigningKey();
  await using confused = await service();
  const wrong = { ...(await confused.read()), ...publicHalf(other) };
  expect(await caught(signSpec(spec, wrong))).toMatchObject({
    code: "signing-command",
    message: expect.stringContaining("is not one of the key"),
  });
});

test("a command that fails, prints something else or never ends is named with its complaint", async () => {
  const faultOf = async (script: string, more: object = {}) => {
    await using one = await service(script, more);
    return ((await caught(signSpec(spec, await one.read()))) as Error).message;
  };
  expect(await faultOf('console.error("token \\u001b[2J expired"); process.exit(3);')).toMatch(
    /failed \(3\): token .*expired/,
  );
  expect(await faultOf('console.log("c2hvcnQ");')).toContain("printed 5 bytes, and a signature has 64");
  expect(await faultOf("")).toContain("printed 0 bytes");
  expect(await faultOf("setInterval(() => {}, 1000);", { timeoutMs: 300 })).toContain(
    "did not answer within 300 ms",
  );
  expect(await faultOf('process.stdout.write("A".repeat(100_000));')).toContain("failed");
  await using missing = await service();
  const gone = { ...(await missing.read()), command: ["/no/such/program"] };
  expect(((await caught(signSpec(spec, gone))) as Error).message).toContain("failed (ENOENT)");
});

test("a file with a command must name the thumbprint of its key", async () => {
  await using folder = await folderWith();
  const key = publicHalf(await generateSigningKey());
  const file = join(folder.root, "service.jwk");
  await writeFile(file, JSON.stringify({ ...key, kid: "else", command: ["sign"] }));
  expect(await caught(readSigningKey(file))).toMatchObject({ code: "bad-signing-key" });
  await writeFile(file, JSON.stringify({ ...key, command: [] }));
  expect(await caught(readSigningKey(file))).toMatchObject({ code: "bad-signing-key" });
});
