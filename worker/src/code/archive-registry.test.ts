import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { CodeError } from "./code-error.ts";
import type { CodeSource } from "./code-request.ts";
import { fetchCode } from "./fetch-code.ts";
import { failure, never, openCache } from "./git-fetch.fixture.ts";
import type { CodeLimits } from "./limits.ts";
import { packTar } from "./oci-layout.fixture.ts";
import { digestOf, endless, serveEdge } from "./registry-server.fixture.ts";

const SECRET = "files-0a9f3c";
const ARCHIVE = gzipSync(await packTar([{ name: "f", content: "1" }]));
const DIGEST = digestOf(ARCHIVE);
const PATH = `/flows/${DIGEST.slice("sha256:".length)}.tar.gz`;

type At = (url: string) => CodeSource;
const KINDS: Record<string, At> = {
  "a web server with a token": (url) => ({ kind: "archive", url: `${url}/flows`, token: SECRET }),
  "a web server with a password": (url) => ({
    kind: "archive",
    url: `${url}/flows/`,
    username: "keeper",
    password: SECRET,
  }),
  "a bucket": (url) => ({
    kind: "s3",
    url: "s3://flows",
    endpoint: url,
    accessKeyId: "keeper",
    secretAccessKey: SECRET,
    sessionToken: `session-${SECRET}`,
  }),
};

async function faultOf(source: CodeSource, more: { digest?: string; limits?: Partial<CodeLimits> } = {}) {
  const error = await failure(source, more.digest ?? DIGEST, { limits: more.limits ?? {} });
  if (!(error instanceof CodeError)) throw error;
  expect(error.message + (error.output ?? "")).not.toContain(SECRET);
  expect(error.message).not.toContain("127.0.0.1");
  return error;
}

describe.each(Object.entries(KINDS))("%s", (_, at) => {
  test("gives an archive by its digest, with the login", async () => {
    const server = await serveEdge((_request, response) => void response.end(ARCHIVE));
    const { dir } = await fetchCode(await openCache(), { source: at(server.url), digest: DIGEST }, never);
    expect(await readFile(join(dir, "f"), "utf8")).toBe("1");
    expect(server.requests).toMatchObject([{ path: PATH, headers: { authorization: expect.any(String) } }]);
  });

  test("sends no part of the login along a redirect to another origin", async () => {
    const elsewhere = await serveEdge((_request, response) => void response.end(ARCHIVE));
    const server = await serveEdge((_request, response) => {
      response.writeHead(307, { location: elsewhere.url }).end();
    });
    await fetchCode(await openCache(), { source: at(server.url), digest: DIGEST }, never);
    const [request] = elsewhere.requests;
    expect(Object.keys(request?.headers ?? {}).sort()).toEqual([
      "accept-encoding",
      "connection",
      "host",
      "user-agent",
    ]);
  });

  test("is refused when the bytes are others, or too many", async () => {
    const other = gzipSync(await packTar([{ name: "f", content: "2" }]));
    const server = await serveEdge((_request, response) => void response.end(other));
    expect(await faultOf(at(server.url))).toMatchObject({ code: "digest-mismatch", kind: "refused" });
    const long = await serveEdge((_request, response) => endless(response, Buffer.alloc(64 * 1024)));
    const limits = { packedBytes: 1024 * 1024 };
    expect(await faultOf(at(long.url), { limits })).toMatchObject({ code: "too-large" });
  });

  test("is refused when the archive unpacks to far more than its size, or is none", async () => {
    const bomb = gzipSync(await packTar([{ name: "zeros", content: Buffer.alloc(40 * 1024 * 1024) }]));
    const page = Buffer.from("<html>sign in</html>");
    const server = await serveEdge((request, response) => {
      response.end(request.url?.includes(digestOf(bomb).slice(7)) ? bomb : page);
    });
    const digest = digestOf(bomb);
    expect(await faultOf(at(server.url), { digest })).toMatchObject({ code: "too-large" });
    const source = at(server.url);
    expect(await faultOf(source, { digest: digestOf(page) })).toMatchObject({ code: "unsafe-archive" });
  });

  test("does not ask again after a refused login", async () => {
    const server = await serveEdge((_request, response) => {
      response.writeHead(401, { "www-authenticate": 'Bearer realm="http://127.0.0.1:9/token"' }).end();
    });
    expect(await faultOf(at(server.url))).toMatchObject({ code: "unauthorized", retryable: false });
    expect(server.requests).toHaveLength(1);
  });

  test("is not asked for a digest of another kind", async () => {
    const server = await serveEdge((_request, response) => void response.end(ARCHIVE));
    const digest = createHash("sha1").update(ARCHIVE).digest("hex");
    expect(await faultOf(at(server.url), { digest })).toMatchObject({ code: "bad-ref" });
    expect(server.requests).toEqual([]);
  });
});
