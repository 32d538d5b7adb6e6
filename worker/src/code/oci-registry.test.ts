import { readFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { CodeError } from "./code-error.ts";
import type { CodeSource } from "./code-request.ts";
import { fetchCode } from "./fetch-code.ts";
import { failure, never, openCache } from "./git-fetch.fixture.ts";
import type { CodeLimits } from "./limits.ts";
import { packTar } from "./oci-layout.fixture.ts";
import { digestOf, type EdgeServer, endless, manifestOf, serveEdge } from "./registry-server.fixture.ts";

const LOGIN = { username: "keeper", password: "lock-keeper" };
const BASIC = `Basic ${Buffer.from("keeper:lock-keeper").toString("base64")}`;
const TOKEN = "t0ken-of-the-endpoint";
const LAYER = gzipSync(await packTar([{ name: "f", content: "1" }]));
const MANIFEST = manifestOf([LAYER]);
const DIGEST = digestOf(MANIFEST);
const MANIFEST_PATH = `/v2/data/flows/manifests/${DIGEST}`;
const BLOB_PATH = `/v2/data/flows/blobs/${digestOf(LAYER)}`;

const sourceAt = (server: EdgeServer, more: object = {}) =>
  ({ kind: "oci", url: `${server.url}/data/flows`, ...LOGIN, ...more }) satisfies CodeSource;

/** Answers as a registry with one image. `instead` answers other than a registry does; false: as a registry. */
const registry = (
  instead: (path: string, response: ServerResponse, login: string) => boolean = () => false,
) =>
  serveEdge((request, response) => {
    const path = request.url ?? "";
    if (instead(path, response, request.headers.authorization ?? "")) return;
    if (path === MANIFEST_PATH) response.end(MANIFEST);
    else if (path === BLOB_PATH) response.end(LAYER);
    else response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
  });

async function faultFrom(server: EdgeServer, more: object = {}, limits: Partial<CodeLimits> = {}) {
  const error = await failure(sourceAt(server, more), DIGEST, { limits });
  if (!(error instanceof CodeError)) throw error;
  for (const text of [error.message, error.output ?? ""]) {
    expect(text).not.toContain("lock-keeper");
    expect(text).not.toContain(TOKEN);
  }
  // The message may leave the network, and the address may not.
  expect(error.message).not.toContain("127.0.0.1");
  return error;
}

const loginsAt = (server: EdgeServer) => server.requests.map(({ headers }) => headers.authorization);

async function fetched(server: EdgeServer, more: object = {}): Promise<string> {
  const { dir } = await fetchCode(
    await openCache(),
    { source: sourceAt(server, more), digest: DIGEST },
    never,
  );
  return await readFile(join(dir, "f"), "utf8");
}

describe("a login", () => {
  test("is sent only after the registry asks for it", async () => {
    expect(await fetched(await registry())).toBe("1");
    const server = await registry((_, response, login) => {
      if (login === BASIC) return false;
      response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      return true;
    });
    expect(await fetched(server)).toBe("1");
    expect(loginsAt(server)).toEqual([undefined, BASIC, BASIC]);
  });

  test("that is refused is not tried again and again", async () => {
    const server = await registry((_, response) => {
      response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
      return true;
    });
    expect(await faultFrom(server)).toMatchObject({ code: "unauthorized", retryable: false });
    expect(loginsAt(server)).toEqual([undefined, BASIC]);
  });

  test.each(["", "Negotiate", 'Basic realm="r", ,,,', "=,=,=", `${"a, ".repeat(4_000)}`, 'Bearer realm="'])(
    "is not sent for the challenge %j without a scheme that we know, or is refused",
    async (challenge) => {
      const server = await registry((_, response) => {
        response.writeHead(401, { "www-authenticate": challenge.slice(0, 8_000) }).end();
        return true;
      });
      expect(["unauthorized", "bad-answer"]).toContain((await faultFrom(server)).code);
      expect(server.requests.length).toBeLessThanOrEqual(2);
    },
  );

  test("does not follow a redirect to another origin, not even back", async () => {
    let own = "";
    const elsewhere = await serveEdge((request, response) => {
      if (request.url === "/layer") return void response.end(LAYER);
      response.writeHead(307, { location: `${own}${BLOB_PATH}?again` }).end();
    });
    const server = await registry((path, response, login) => {
      if (path === `${BLOB_PATH}?again`) {
        response.writeHead(307, { location: `${elsewhere.url}/layer` }).end();
        return true;
      }
      if (login !== BASIC) response.writeHead(401, { "www-authenticate": "Basic" }).end();
      else if (path === BLOB_PATH) response.writeHead(307, { location: `${elsewhere.url}/there` }).end();
      return login !== BASIC || path === BLOB_PATH;
    });
    own = server.url;
    expect(await fetched(server)).toBe("1");
    expect(elsewhere.requests).toHaveLength(2);
    expect(loginsAt(elsewhere)).toEqual([undefined, undefined]);
    expect(
      server.requests.find(({ path }) => path.endsWith("?again"))?.headers.authorization,
    ).toBeUndefined();
  });

  test("is not given to another origin that asks for it", async () => {
    const elsewhere = await serveEdge((_, response) => {
      response.writeHead(401, { "www-authenticate": "Basic" }).end();
    });
    const server = await registry((path, response) => {
      if (path === BLOB_PATH) response.writeHead(302, { location: elsewhere.url }).end();
      return path === BLOB_PATH;
    });
    expect(await faultFrom(server)).toMatchObject({ code: "unauthorized" });
    expect(loginsAt(elsewhere)).toEqual([undefined]);
  });
});

describe("redirects", () => {
  test("end after five", async () => {
    const server = await registry((path, response) => {
      response.writeHead(302, { location: path }).end();
      return true;
    });
    expect(await faultFrom(server)).toMatchObject({ code: "bad-source" });
    expect(server.requests).toHaveLength(6);
  });

  test.each(["file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pw@127.0.0.1/x", "http://", ""])(
    "to %j are refused",
    async (location) => {
      const server = await registry((_, response) => {
        response.writeHead(302, { location }).end();
        return true;
      });
      expect(["bad-source", "bad-answer"]).toContain((await faultFrom(server)).code);
    },
  );
});

describe("a token endpoint", () => {
  /** A registry that accepts only the endpoint's token. */
  const guarded = (realm: () => string) =>
    registry((_, response, login) => {
      if (login === `Bearer ${TOKEN}`) return false;
      const challenge = `Bearer realm="${realm()}",service="s",scope="repository:*:delete"`;
      response.writeHead(401, { "www-authenticate": challenge }).end();
      return true;
    });
  const endpoint = (body: string, type = "application/json") =>
    serveEdge((_, response) => void response.writeHead(200, { "content-type": type }).end(body));

  test("on another origin gets the login only if the configuration names it, and for this repository alone", async () => {
    const tokens = await endpoint(JSON.stringify({ token: TOKEN }));
    const server = await guarded(() => `${tokens.url}/token`);
    expect(await faultFrom(server)).toMatchObject({ code: "bad-source" });
    expect(tokens.requests).toEqual([]);
    const other = { tokenUrl: `${tokens.url}/other` };
    expect(await faultFrom(server, other)).toMatchObject({ code: "bad-source" });
    expect(tokens.requests).toEqual([]);
    expect(await fetched(server, { tokenUrl: `${tokens.url}/token` })).toBe("1");
    expect(tokens.requests).toEqual([
      {
        path: "/token?service=s&scope=repository%3Adata%2Fflows%3Apull",
        headers: expect.objectContaining({ authorization: BASIC }),
      },
    ]);
  });

  test.each([
    ["a page", "<html>sign in</html>", "bad-answer"],
    ["no token", "{}", "bad-answer"],
    ["a token with a line break", JSON.stringify({ token: "a\r\nx: y" }), "bad-answer"],
    ["a long answer", JSON.stringify({ token: "t".repeat(100_000) }), "too-large"],
  ])("that returns %s is refused", async (_, body, code) => {
    const tokens = await endpoint(body, "text/html");
    const server = await guarded(() => `${tokens.url}/token`);
    const fault = await faultFrom(server, { tokenUrl: `${tokens.url}/token` });
    expect(fault).toMatchObject({ code });
  });

  test("may not redirect", async () => {
    const elsewhere = await endpoint(JSON.stringify({ token: TOKEN }));
    const tokens = await serveEdge((_, response) => {
      response.writeHead(302, { location: elsewhere.url }).end();
    });
    const server = await guarded(() => `${tokens.url}/token`);
    await faultFrom(server, { tokenUrl: `${tokens.url}/token` });
    expect(elsewhere.requests).toEqual([]);
  });

  test.each(["", "not a url", "file:///etc/passwd", "http://user:pw@127.0.0.1:1/token"])(
    "at %j gets nothing",
    async (realm) => {
      const server = await guarded(() => realm);
      expect(["bad-source", "bad-answer"]).toContain((await faultFrom(server)).code);
      expect(loginsAt(server)).toEqual([undefined]);
    },
  );
});

describe("what a registry sends", () => {
  const sends = (what: (path: string, response: ServerResponse) => boolean) => registry(what);
  const blob = (answer: (response: ServerResponse) => void) =>
    sends((path, response) => {
      if (path === BLOB_PATH) answer(response);
      return path === BLOB_PATH;
    });

  test("is refused when a manifest has another digest", async () => {
    const other = manifestOf([LAYER, LAYER]);
    const server = await sends((path, response) => {
      if (path === MANIFEST_PATH) response.end(other);
      return path === MANIFEST_PATH;
    });
    expect(await faultFrom(server)).toMatchObject({ code: "digest-mismatch", kind: "refused" });
    expect(server.requests).toHaveLength(1);
  });

  test("is refused when a page stands in place of a manifest", async () => {
    const server = await sends((_, response) => {
      response.writeHead(200, { "content-type": "text/html" }).end("<html>sign in</html>");
      return true;
    });
    expect(await faultFrom(server)).toMatchObject({ code: "digest-mismatch" });
  });

  test.each([
    ["other bytes", (response: ServerResponse) => response.end(Buffer.alloc(LAYER.length, 1))],
    ["fewer bytes", (response: ServerResponse) => response.end(LAYER.subarray(1))],
    ["no bytes", (response: ServerResponse) => response.end()],
  ])("is refused when a layer has %s", async (_, answer) => {
    expect(await faultFrom(await blob(answer))).toMatchObject({ code: "digest-mismatch" });
  });

  test("is refused when a layer is longer than said, without reading all of it", async () => {
    const server = await blob((response) => endless(response, Buffer.alloc(64 * 1024)));
    expect(await faultFrom(server)).toMatchObject({ code: "too-large" });
  });

  test("is refused when it says that it will be longer", async () => {
    const server = await blob((response) => {
      response.writeHead(200, { "content-length": String(10 ** 12) }).write("x");
    });
    expect(await faultFrom(server)).toMatchObject({ code: "too-large" });
  });

  test("is refused when a manifest does not end", async () => {
    const server = await sends((_, response) => {
      endless(response, Buffer.alloc(64 * 1024, "x"));
      return true;
    });
    expect(await faultFrom(server)).toMatchObject({ code: "too-large" });
  });

  test("may be fetched again later when it breaks off", async () => {
    const server = await blob((response) => {
      response.writeHead(200, { "content-length": String(LAYER.length) });
      response.write(LAYER.subarray(0, 10), () => response.destroy());
    });
    expect(await faultFrom(server)).toMatchObject({ code: "registry-unreachable", retryable: true });
  });

  test("ends with the time limit when it comes slowly", async () => {
    const server = await blob((response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write("x"), 10);
      response.on("close", () => clearInterval(timer));
    });
    expect(await faultFrom(server, {}, { timeMs: 500 })).toMatchObject({ code: "timeout", retryable: true });
  });

  test("is not decompressed on its way", async () => {
    const server = await blob((response) => {
      response.writeHead(200, { "content-encoding": "gzip" }).end(LAYER);
    });
    expect(await fetched(server)).toBe("1");
    expect(server.requests[0]?.headers["accept-encoding"]).toBe("identity");
  });

  test.each([
    [404, "not-found"],
    [403, "unauthorized"],
    [429, "registry-unreachable"],
    [500, "registry-unreachable"],
    [503, "registry-unreachable"],
    [418, "bad-answer"],
  ])("with status %i is the error %s", async (status, code) => {
    const server = await sends((_, response) => {
      response.writeHead(status).end(`{"errors":[{"code":"SAID","message":"${BASIC} ${TOKEN}"}]}`);
      return true;
    });
    const fault = await faultFrom(server);
    expect(fault).toMatchObject({ code });
    expect(fault.output).toContain("SAID");
  });
});

test("a layer that unpacks to far more than its size is refused", async () => {
  const bomb = gzipSync(await packTar([{ name: "zeros", content: Buffer.alloc(40 * 1024 * 1024) }]));
  const manifest = manifestOf([bomb]);
  const server = await serveEdge((request, response) => {
    response.end(request.url?.includes("/manifests/") ? manifest : bomb);
  });
  const error = await failure(sourceAt(server), digestOf(manifest));
  expect(error).toMatchObject({ code: "too-large" });
});

test("layers that are together larger than the limit are not fetched", async () => {
  const server = await registry();
  expect(await faultFrom(server, {}, { packedBytes: LAYER.length - 1 })).toMatchObject({ code: "too-large" });
  expect(server.requests).toHaveLength(1);
});

test("a registry that nobody serves may be tried again", async () => {
  const server = { url: "http://127.0.0.1:9", requests: [] };
  expect(await faultFrom(server)).toMatchObject({ code: "registry-unreachable", retryable: true });
});
