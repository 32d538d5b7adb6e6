import { spawnSync } from "node:child_process";
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type CodeCache, openCodeCache } from "./code-cache.ts";
import { fetchCode } from "./fetch-code.ts";
import type { CodeLimits } from "./limits.ts";
import {
  LAYER_TYPE,
  MANIFEST_TYPE,
  packTar,
  rawHeader,
  type TestEntry,
  TestLayout,
} from "./oci-layout.fixture.ts";
import { removeTree } from "./seal-tree.ts";

const never = new AbortController().signal;
let root: string;
let made = 0;
let layout: TestLayout;
let cache: CodeCache;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "towpath-oci-"));
});
afterAll(() => removeTree(root));
beforeEach(async () => {
  layout = new TestLayout(join(root, `layout-${made++}`));
  cache = await openCache();
});

async function openCache(limits: Partial<CodeLimits> = {}): Promise<CodeCache> {
  return await openCodeCache({ dir: join(root, `cache-${made++}`), limits });
}

function fetchDigest(digest: string, from: CodeCache = cache) {
  return fetchCode(from, { source: { kind: "oci-layout", path: layout.dir }, digest }, never);
}

/** Expects a refusal that left nothing behind. */
async function expectFailure(digest: string, code: string, limits: Partial<CodeLimits> = {}): Promise<void> {
  const used = await openCache(limits);
  await expect(fetchDigest(digest, used)).rejects.toMatchObject({ name: "CodeError", code });
  expect((await readdir(used.dir)).sort()).toEqual([".holds", ".making", ".seals"]);
  expect(await readdir(join(used.dir, ".making"))).toEqual([]);
  expect(await readdir(join(used.dir, ".holds"))).toEqual([]);
}

test("code is fetched by the digest of its manifest, layer upon layer, and read-only", async () => {
  const digest = await layout.putLayers([
    gzipSync(
      await packTar([
        { name: "./", type: "directory" },
        { name: "./flow.js", content: "export {}", mode: 0o600 },
        { name: "bin/", type: "directory", mode: 0o777 },
        { name: "bin/run", content: "#!/bin/sh", mode: 0o4711 },
        { name: "bin/current", type: "symlink", linkname: "../flow.js" },
      ]),
    ),
    gzipSync(await packTar([{ name: "bin/data/é.json", content: "{}" }])),
  ]);
  const { dir, cached } = await fetchDigest(digest);
  expect(cached).toBe(false);
  expect(await readFile(join(dir, "bin/current"), "utf8")).toBe("export {}");
  expect(await readFile(join(dir, "bin/data/é.json"), "utf8")).toBe("{}");
  expect(await readlink(join(dir, "bin/current"))).toBe("../flow.js");
  const modes = { ".": 0o555, "flow.js": 0o444, bin: 0o555, "bin/run": 0o555, "bin/data/é.json": 0o444 };
  for (const [path, mode] of Object.entries(modes)) {
    expect((await lstat(join(dir, path))).mode & 0o7777, path).toBe(mode);
  }
});

test("what the system's tar writes is accepted, long names included", async () => {
  const source = join(root, `source-${made++}`);
  const long = `${"long-directory-name/".repeat(8)}${"f".repeat(120)}.js`;
  await mkdir(join(source, long, ".."), { recursive: true });
  await writeFile(join(source, long), "1");
  for (const format of ["gnu", "pax", "ustar"]) {
    if (format === "ustar") await rename(join(source, long), join(source, "short.js"));
    const { stdout, status } = spawnSync("tar", ["-cz", `--format=${format}`, "-C", source, "."], {
      maxBuffer: 1e8,
    });
    expect(status).toBe(0);
    const { dir } = await fetchDigest(await layout.putLayers([stdout]));
    expect(await readFile(join(dir, format === "ustar" ? "short.js" : long), "utf8")).toBe("1");
  }
});

test("a file of many chunks arrives whole", async () => {
  const content = Buffer.alloc(3_000_001, "0123456789abcdef");
  const { dir } = await fetchDigest(await layout.putCode([{ name: "big.bin", content }]));
  expect((await readFile(join(dir, "big.bin"))).equals(content)).toBe(true);
});

describe("hostile archives are refused and leave nothing:", () => {
  const attacks: Record<string, readonly TestEntry[]> = {
    "an absolute path": [{ name: "/etc/towpath-test", content: "x" }],
    "a path that climbs out": [{ name: "../outside", content: "x" }],
    "a path that climbs out from below": [{ name: "a/../../outside", content: "x" }],
    "a backslash": [{ name: "..\\outside", content: "x" }],
    "a file instead of the root": [
      { name: "./", type: "file", pax: {}, content: "" },
      { name: ".", content: "x" },
    ],
    "a link to an absolute path": [{ name: "l", type: "symlink", linkname: "/etc" }],
    "a link that climbs out": [{ name: "d/l", type: "symlink", linkname: "../../x" }],
    "a chain of links that climbs out": [
      { name: "b", type: "symlink", linkname: "." },
      { name: "a", type: "symlink", linkname: "b/../x" },
    ],
    "a link without a target": [{ name: "l", type: "symlink", linkname: "x/../../../y" }],
    "writing through a link": [
      { name: "l", type: "symlink", linkname: "d" },
      { name: "l/file", content: "x" },
    ],
    "a link over a directory": [
      { name: "d/file", content: "x" },
      { name: "d", type: "symlink", linkname: "e" },
    ],
    "a hard link": [
      { name: "f", content: "x" },
      { name: "g", type: "link", linkname: "f" },
    ],
    "a hard link to the outside": [{ name: "g", type: "link", linkname: "/etc/passwd" }],
    "a device": [{ name: "null", type: "character-device", devmajor: 1, devminor: 3 }],
    "a block device": [{ name: "disk", type: "block-device", devmajor: 8, devminor: 0 }],
    "a fifo": [{ name: "pipe", type: "fifo" }],
    "the same file twice": [
      { name: "f", content: "1" },
      { name: "./f", content: "2" },
    ],
    "a link over a file": [
      { name: "f", content: "1" },
      { name: "f", type: "symlink", linkname: "g" },
    ],
    "a file used as a directory": [
      { name: "f", content: "1" },
      { name: "f/g", content: "2" },
    ],
    "a directory over a file": [
      { name: "f", content: "1" },
      { name: "f", type: "directory" },
    ],
    "a whiteout of another layer's file": [{ name: "d/.wh.f", content: "" }],
    "a name with a newline": [{ name: "a\nb", content: "x" }],
  };
  for (const [attack, entries] of Object.entries(attacks)) {
    test(attack, async () => expectFailure(await layout.putCode(entries), "unsafe-archive"));
  }

  const END = Buffer.alloc(1_024);
  const raw: Record<string, () => Buffer> = {
    "a name with a NUL, by extended header": () => {
      const record = "16 path=a\0b/c/d\n";
      const body = Buffer.alloc(512);
      body.write(record);
      return Buffer.concat([
        rawHeader({ name: "x", typeflag: "x", size: record.length }),
        body,
        rawHeader({ name: "f", typeflag: "0" }),
        END,
      ]);
    },
    "a name that climbs out, by extended header": () => {
      const record = "16 path=../../f\n";
      const body = Buffer.alloc(512);
      body.write(record);
      return Buffer.concat([
        rawHeader({ name: "x", typeflag: "x", size: record.length }),
        body,
        rawHeader({ name: "f", typeflag: "0" }),
        END,
      ]);
    },
    "a name that climbs out, by GNU long name": () => {
      const body = Buffer.alloc(512);
      body.write("../../f\0");
      return Buffer.concat([
        rawHeader({ name: "././@LongLink", typeflag: "L", size: 8 }),
        body,
        rawHeader({ name: "f", typeflag: "0" }),
        END,
      ]);
    },
    "a name that is no UTF-8": () =>
      Buffer.concat([rawHeader({ name: Buffer.from([0x61, 0xff, 0x62]), typeflag: "0" }), END]),
    "a link that carries content": () =>
      Buffer.concat([rawHeader({ name: "l", typeflag: "2", linkname: "f", size: 512 }), END, END]),
    "a type nobody knows": () => Buffer.concat([rawHeader({ name: "s", typeflag: "S" }), END]),
    "an entry cut short": () => Buffer.concat([rawHeader({ name: "f", typeflag: "0", size: 5_000 }), END]),
    "a header with a wrong checksum": () => {
      const header = rawHeader({ name: "f", typeflag: "0" });
      header.writeUInt8(1, 300);
      return Buffer.concat([header, END]);
    },
    "an endless extended header": () =>
      Buffer.concat([rawHeader({ name: "x", typeflag: "x", size: 0o77777777777 }), END]),
  };
  for (const [attack, bytes] of Object.entries(raw)) {
    test(attack, async () => expectFailure(await layout.putLayers([gzipSync(bytes())]), "unsafe-archive"));
  }

  test("anything that is not a whole gzipped tar", async () => {
    const whole = gzipSync(await packTar([{ name: "f", content: Buffer.alloc(100_000, "x") }]));
    for (const bytes of [
      Buffer.from("no gzip"),
      gzipSync(Buffer.alloc(2_000, "no tar")),
      whole.subarray(0, -20),
    ]) {
      await expectFailure(await layout.putLayers([bytes]), "unsafe-archive");
    }
  });

  test("the same file in two layers", async () => {
    const layer = async (content: string) => gzipSync(await packTar([{ name: "f", content }]));
    await expectFailure(await layout.putLayers([await layer("1"), await layer("2")]), "unsafe-archive");
  });
});

describe("archives over a limit are refused and leave nothing:", () => {
  const file = (name: string, sizeBytes: number): TestEntry => ({
    name,
    content: Buffer.alloc(sizeBytes, "x"),
  });
  const cases: Record<string, { entries: TestEntry[]; limits: Partial<CodeLimits> }> = {
    "one file": { entries: [file("f", 1_001)], limits: { fileBytes: 1_000 } },
    "all files": { entries: [file("f", 600), file("g", 600)], limits: { totalBytes: 1_000 } },
    entries: { entries: [file("f", 1), file("g", 1), file("h", 1)], limits: { entries: 2 } },
    "directories that no entry announces": { entries: [file("a/b/c/d/e/f", 1)], limits: { entries: 3 } },
    depth: { entries: [file("a/b/c/d", 1)], limits: { pathDepth: 3 } },
    length: { entries: [file("a".repeat(60), 1)], limits: { pathBytes: 50 } },
    "packed size": { entries: [file("f", 1)], limits: { packedBytes: 10 } },
  };
  for (const [what, { entries, limits }] of Object.entries(cases)) {
    test(what, async () => expectFailure(await layout.putCode(entries), "too-large", limits));
  }

  test("compression", { timeout: 60_000 }, async () => {
    const zeros = Buffer.alloc(40 * 1024 * 1024);
    await expectFailure(await layout.putCode([{ name: "bomb", content: zeros }]), "too-large");
  });

  test("a bomb of headers without a single file", { timeout: 60_000 }, async () => {
    const header = Buffer.concat([
      rawHeader({ name: "x", typeflag: "g", size: 512 }),
      Buffer.alloc(512, "\n"),
    ]);
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, header));
    await expectFailure(await layout.putLayers([bomb]), "too-large", { entries: 10, totalBytes: 1_000 });
  });

  test("layers", async () => {
    const layer = async (name: string) => gzipSync(await packTar([{ name, content: "1" }]));
    const digest = await layout.putLayers([await layer("a"), await layer("b")]);
    await expectFailure(digest, "bad-manifest", { layers: 1 });
  });

  test("the manifest", async () => {
    const digest = await layout.putCode([{ name: "f", content: "1" }]);
    await expectFailure(digest, "too-large", { manifestBytes: 20 });
  });
});

describe("content is not used before its digest is checked:", () => {
  const code = () => layout.putCode([{ name: "f", content: "1" }]);

  test("a changed manifest", async () => {
    const digest = await code();
    await writeFile(
      layout.blobPath(digest),
      (await readFile(layout.blobPath(digest), "utf8")).replace("2", "3"),
    );
    await expectFailure(digest, "digest-mismatch");
  });

  test("a changed manifest that is no JSON either is a mismatch, not a parse error", async () => {
    const digest = await code();
    await writeFile(layout.blobPath(digest), "{");
    await expectFailure(digest, "digest-mismatch");
  });

  test("a layer of the same size with other content", async () => {
    const good = gzipSync(await packTar([{ name: "f", content: "1" }]));
    const digest = await layout.putLayers([good]);
    const { digest: layerDigest } = await layout.putBlob(good);
    const evil = Buffer.from(good);
    evil.writeUInt8(evil.readUInt8(20) ^ 1, 20);
    await writeFile(layout.blobPath(layerDigest), evil);
    await expectFailure(digest, "digest-mismatch");
  });

  test("a layer that is longer or shorter than the manifest says", async () => {
    const good = gzipSync(await packTar([{ name: "f", content: "1" }]));
    const { digest, size } = await layout.putBlob(good);
    for (const said of [size + 1, size - 1]) {
      const layers = [{ mediaType: LAYER_TYPE, digest, size: said }];
      const manifest = await layout.putManifest({ schemaVersion: 2, mediaType: MANIFEST_TYPE, layers });
      await expectFailure(manifest, "digest-mismatch");
    }
  });
});

test("manifests of other shapes are refused", async () => {
  const { digest, size } = await layout.putBlob(gzipSync(await packTar([])));
  const layer = { mediaType: LAYER_TYPE, digest, size };
  const good = { schemaVersion: 2, mediaType: MANIFEST_TYPE, layers: [layer] };
  const bad: unknown[] = [
    null,
    [],
    "x",
    {},
    { ...good, schemaVersion: 1 },
    { ...good, layers: [] },
    { ...good, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [] },
    { ...good, layers: [{ ...layer, digest: `sha512:${"a".repeat(128)}` }] },
    { ...good, layers: [{ ...layer, digest: "sha256:../../../etc/passwd" }] },
    { ...good, layers: [{ ...layer, size: -1 }] },
    { ...good, layers: [{ ...layer, size: 1e300 }] },
    { ...good, layers: [{ ...layer, mediaType: "application/vnd.oci.image.layer.v1.tar" }] },
  ];
  for (const manifest of bad) await expectFailure(await layout.putManifest(manifest), "bad-manifest");
  expect((await fetchDigest(await layout.putManifest(good))).cached).toBe(false);
});

test("only a full lower-case digest names code", async () => {
  const digest = await layout.putCode([{ name: "f", content: "1" }]);
  for (const bad of [
    "latest",
    digest.toUpperCase(),
    digest.slice(0, -1),
    `${digest}\n`,
    digest.slice(7),
    "sha256:../x",
  ]) {
    await expectFailure(bad, "bad-ref");
  }
});

test("unavailable code is told apart from code that must not run", async () => {
  const digest = `sha256:${"0".repeat(64)}`;
  await expect(fetchDigest(digest)).rejects.toMatchObject({ code: "registry-unreachable", retryable: true });
  await layout.putCode([{ name: "f", content: "1" }]);
  await expect(fetchDigest(digest)).rejects.toMatchObject({ code: "not-found", kind: "unavailable" });
  await mkdir(layout.blobPath(digest));
  await expect(fetchDigest(digest)).rejects.toMatchObject({ code: "bad-manifest" });
  await rm(layout.blobPath(digest), { recursive: true });
  expect(spawnSync("mkfifo", [layout.blobPath(digest)]).status).toBe(0);
  await expect(fetchDigest(digest)).rejects.toMatchObject({ code: "bad-manifest" });
});

test.skipIf(process.getuid?.() === 0)(
  "a layout that may not be read is a matter of permissions",
  async () => {
    const digest = await layout.putCode([{ name: "f", content: "1" }]);
    await chmod(layout.blobPath(digest), 0);
    await expect(fetchDigest(digest)).rejects.toMatchObject({ code: "no-permission" });
  },
);
