import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Failure } from "../../failure.ts";
import { caught, folderWith } from "../../fixture.ts";
import { readLock } from "./lock.ts";

const hash = (digit: string) => `--hash=sha256:${digit.repeat(64)}`;
const OWN = `towpath==0.1.0 ${hash("0")}\n`;
const MANIFEST = `[project]\nname = "demo"\ndependencies = ["towpath>=0.1", "Polars[numpy] > 1"]\n`;

async function read(files: Record<string, string>, lock: string) {
  await using folder = await folderWith(files);
  return await readLock(folder.root, { options: { lock }, python: "3.12.1" });
}

test("requirements keep their markers and hashes, and lose comments and addresses", async () => {
  const text = `# by a tool\n--index-url https://user:secret@example.com/simple\n${OWN}polars==1.2 ; python_version >= "3.9" \\\n    ${hash("1")} \\\n    ${hash("2")}  # via demo\n`;
  const { environment, file } = await read(
    { "requirements.txt": text, "pyproject.toml": MANIFEST },
    "requirements.txt",
  );
  expect(new TextDecoder().decode(file.bytes)).toBe(
    `${OWN}polars==1.2 ; python_version >= "3.9" ${hash("1")} ${hash("2")}\n`,
  );
  expect(environment).toMatchObject({
    kind: "lock",
    python: "3.12",
    requirements: file.path,
    indexes: [],
    build: [],
  });
});

test("a lock of PEP 751 has the same requirements", async () => {
  const lock = `lock-version = "1.0"\n
[[packages]]\nname = "towpath"\nversion = "0.1.0"\nwheels = [{ name = "towpath.whl", url = "https://example.com/a", hashes = { sha256 = "${"0".repeat(64)}" } }]\n
[[packages]]\nname = "polars"\nversion = "1.2"\nmarker = "sys_platform == 'linux'"\nsdist = { url = "https://example.com/b", hashes = { sha256 = "${"1".repeat(64)}" } }\nwheels = [{ url = "https://example.com/c", hashes = { sha256 = "${"2".repeat(64)}" } }]\n`;
  const { file } = await read({ "pylock.toml": lock }, "pylock.toml");
  expect(new TextDecoder().decode(file.bytes)).toBe(
    `${OWN}polars==1.2 ; sys_platform == 'linux' ${hash("2")} ${hash("1")}\n`,
  );
});

/** A program that answers as uv. */
async function withUv(script: string) {
  const folder = await folderWith({ "uv.lock": "", ".venv/bin/uv": `#!/bin/sh\n${script}\n` });
  await chmod(join(folder.root, ".venv/bin/uv"), 0o755);
  return folder;
}

test("uv exports its own lock, and refuses a stale one", async () => {
  await using good = await withUv(`echo "$@" >&2; echo '${OWN.trim()}'`);
  const { file } = await readLock(good.root, {
    options: { lock: "uv.lock", python: "3.11" },
    python: "3.12.1",
  });
  expect(new TextDecoder().decode(file.bytes)).toBe(OWN);
  await using folder = await withUv("echo 'towpath==0.1.0'");
  const unhashed = await caught(readLock(folder.root, { options: { lock: "uv.lock" }, python: "3.12.1" }));
  expect(unhashed).toMatchObject({
    code: "lock-without-hashes",
    next: [expect.stringContaining("uv lock"), expect.stringContaining("uv pip compile --generate-hashes")],
  });
  await using stale = await withUv(
    "echo 'error: The lockfile needs to be updated, but --locked was provided' >&2; exit 1",
  );
  const failure = await caught(readLock(stale.root, { options: { lock: "uv.lock" }, python: "3.12.1" }));
  expect(failure).toMatchObject({ code: "stale-lock", next: ["run `uv lock`, and deploy again"] });
});

const FAULTS: Record<string, { text: string; code: string; says: RegExp; files?: Record<string, string> }> = {
  "a package without a hash": {
    text: `${OWN}polars==1.2\n`,
    code: "lock-without-hashes",
    says: /requirements.txt has no hash for polars/,
  },
  "a range": { text: `${OWN}polars>1 ${hash("1")}\n`, code: "lock-not-pinned", says: /polars>1/ },
  "a package from a folder": {
    text: `${OWN}-e .\n`,
    code: "lock-not-pinned",
    says: /no pinned version: -e \./,
  },
  "no package towpath": {
    text: `polars==1.2 ${hash("1")}\n`,
    code: "lock-without-towpath",
    says: /has no package towpath/,
  },
  "a missing dependency of the project": {
    text: OWN,
    code: "stale-lock",
    says: /has no package polars, which pyproject.toml needs/,
    files: { "pyproject.toml": MANIFEST },
  },
};
test.each(Object.entries(FAULTS))(
  "a lock with %s is refused with the next step",
  async (_, { text, code, says, files }) => {
    const failure = (await caught(
      read({ ...files, "requirements.txt": text }, "requirements.txt"),
    )) as Failure;
    expect(failure).toMatchObject({ code });
    expect(failure.message).toMatch(says);
    expect(failure.next.length).toBeGreaterThan(0);
  },
);

test("a missing lock, and a file that is no lock, are refused", async () => {
  expect(await caught(read({}, "uv.lock"))).toMatchObject({ code: "no-lock" });
  expect(await caught(read({ "pylock.toml": "[[[" }, "pylock.toml"))).toMatchObject({ code: "bad-lock" });
  expect(await caught(read({ "pylock.toml": "a = 1" }, "pylock.toml"))).toMatchObject({ code: "bad-lock" });
});
