import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { CodeError } from "./code-error.ts";
import { fetchCode } from "./fetch-code.ts";
import { never, openCache } from "./git-fetch.fixture.ts";
import { packTar } from "./oci-layout.fixture.ts";
import { type EdgeServer, endless, serveEdge } from "./registry-server.fixture.ts";

const TOKEN = "npm_0a9f3c";
const VERSION = "0.0.0-cabc";
const TARBALL = gzipSync(
  await packTar([
    { name: "package/package.json", content: '{"scripts":{"install":"touch ran"}}' },
    { name: "package/code/f", content: "1" },
    { name: "package/code/lib/g", content: "2" },
    { name: "package/codes/h", content: "3" },
    { name: "elsewhere/i", content: "4" },
  ]),
);
const sha512 = (bytes: Uint8Array) => createHash("sha512").update(bytes);
const DIGEST = `sha512:${sha512(TARBALL).digest("hex")}`;
const integrity = (bytes: Uint8Array) => `sha512-${sha512(bytes).digest("base64")}`;

const fetchFrom = async ({ url }: { url: string }, more: object = {}) =>
  await fetchCode(
    await openCache(),
    {
      source: { kind: "npm", url, package: "@data/flows", token: TOKEN },
      digest: DIGEST,
      version: VERSION,
      ...more,
    },
    never,
  );

async function faultFrom(server: { url: string }, more: object = {}) {
  const error = await fetchFrom(server, more).then(
    () => "it was fetched",
    (reason: unknown) => reason,
  );
  if (!(error instanceof CodeError)) throw error;
  expect(error.message + (error.output ?? "")).not.toContain(TOKEN);
  expect(error.message).not.toContain("127.0.0.1");
  return error;
}

/** A registry whose version names a tarball; `document` is what it says. */
async function registry(
  document: (own: string) => unknown,
  answer: { hasVersions?: boolean; tarball?: Uint8Array } = {},
): Promise<EdgeServer> {
  const { hasVersions = true, tarball = TARBALL } = answer;
  const server: EdgeServer = await serveEdge((request, response) => {
    const path = request.url ?? "";
    if (path === "/t.tgz") return void response.end(tarball);
    const isOne = path === `/@data%2fflows/${VERSION}`;
    if (isOne && !hasVersions) return void response.writeHead(404).end("{}");
    const said = document(server.url);
    response.end(JSON.stringify(isOne ? said : { versions: { [VERSION]: said } }));
  });
  return server;
}
const versionAt = (tarball: string, more: object = {}) => ({ dist: { tarball, ...more } });

describe("a package", () => {
  test.each([true, false])(
    "gives only its folder of code, with one document for each version: %s",
    async (hasVersions) => {
      const says = { integrity: integrity(TARBALL) };
      const server = await registry((own) => versionAt(`${own}/t.tgz`, says), { hasVersions });
      const { dir } = await fetchFrom(server);
      expect((await readdir(dir)).sort()).toEqual(["f", "lib"]);
      expect(await readFile(join(dir, "lib/g"), "utf8")).toBe("2");
      for (const { headers } of server.requests) expect(headers.authorization).toBe(`Bearer ${TOKEN}`);
    },
  );

  test("is fetched from another origin without the token", async () => {
    const elsewhere = await serveEdge((_, response) => void response.end(TARBALL));
    const server = await registry(() => versionAt(`${elsewhere.url}/t.tgz`));
    await fetchFrom(server);
    expect(elsewhere.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test("is refused when the registry announces another tarball, before it is fetched", async () => {
    const says = { integrity: integrity(Buffer.from("other")) };
    const server = await registry((own) => versionAt(`${own}/t.tgz`, says));
    expect(await faultFrom(server)).toMatchObject({ code: "digest-mismatch", kind: "refused" });
    expect(server.requests).toHaveLength(1);
  });

  test("is refused when the bytes are others than announced", async () => {
    const says = { integrity: integrity(TARBALL) };
    const other = gzipSync(await packTar([{ name: "package/code/f", content: "evil" }]));
    const server = await registry((own) => versionAt(`${own}/t.tgz`, says), { tarball: other });
    expect(await faultFrom(server)).toMatchObject({ code: "digest-mismatch" });
  });

  test.each(["file:///etc/passwd", "ftp://127.0.0.1/t.tgz", "http://user:pw@127.0.0.1/t.tgz", "t.tgz", ""])(
    "is refused when its tarball is at %j",
    async (tarball) => {
      expect(await faultFrom(await registry(() => versionAt(tarball)))).toMatchObject({ code: "bad-source" });
    },
  );

  test.each([
    ["nothing", {}],
    ["no address", { dist: {} }],
    ["a list", []],
    ["a long address", versionAt(`http://127.0.0.1/${"x".repeat(10_000)}`)],
  ])("is refused when its document has %s", async (_, document) => {
    expect(await faultFrom(await registry(() => document))).toMatchObject({ code: "bad-answer" });
    const server = await registry(() => document, { hasVersions: false });
    expect(await faultFrom(server)).toMatchObject({ code: "bad-answer" });
  });

  test.each(["__proto__", "constructor", "9.9.9"])("without the version %s is not found", async (version) => {
    const server = await serveEdge((request, response) => {
      const isAll = request.url === "/@data%2fflows";
      response.writeHead(isAll ? 200 : 404).end(JSON.stringify({ versions: {} }));
    });
    expect(await faultFrom(server, { version })).toMatchObject({ code: "not-found" });
  });

  test("is refused when a page answers, or when its document does not end", async () => {
    const page = await serveEdge((_, response) => void response.end("<html>sign in</html>"));
    expect(await faultFrom(page)).toMatchObject({ code: "bad-answer" });
    const missing = await serveEdge((_, response) => void response.writeHead(404).end("<html>404</html>"));
    expect(await faultFrom(missing)).toMatchObject({ code: "bad-answer" });
    const long = await serveEdge((_, response) => endless(response, Buffer.alloc(64 * 1024, " ")));
    expect(await faultFrom(long)).toMatchObject({ code: "too-large" });
  });

  test("is not asked for a digest of another kind, or without a version", async () => {
    const server = await registry((own) => versionAt(`${own}/t.tgz`));
    expect(await faultFrom(server, { digest: `sha256:${"a".repeat(64)}` })).toMatchObject({
      code: "bad-ref",
    });
    expect(await faultFrom(server, { version: undefined })).toMatchObject({ code: "bad-ref" });
    expect(server.requests).toEqual([]);
  });
});
