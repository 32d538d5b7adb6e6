import { createServer, type IncomingMessage, type ServerResponse, request as send } from "node:http";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveView, type View } from "./serve.ts";

const KEY = "twp_api_of-the-profile";
const WORKSPACE_KEY = "twp_seal_of-the-profile";
const received: { line: string; headers: IncomingMessage["headers"]; body: string }[] = [];
const controlPlane = createServer((request, response) => void answer(request, response));
let url: string;
let view: View;
let cookie: string;

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = (await buffer(request)).toString();
  received.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
  if (request.url === "/api/elsewhere") {
    response.writeHead(302, { location: "http://127.0.0.1:9/" }).end();
    return;
  }
  const planted = {
    "set-cookie": "planted=1",
    "content-security-policy": "script-src *",
    link: "</x>; rel=preload",
  };
  response.writeHead(200, { "content-type": "text/html", ...planted }).end("<script>steal()</script>");
}

interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** `fetch` does not let a caller choose `Host` and `Origin`. */
function ask(path: string, { method = "GET", headers = {}, body }: RequestOptions = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    headers: IncomingMessage["headers"];
    text: string;
  }>();
  send({ host: "127.0.0.1", port: view.port, path, method, headers }, async (response) =>
    resolve({
      status: response.statusCode ?? 0,
      headers: response.headers,
      text: (await buffer(response)).toString(),
    }),
  )
    .once("error", reject)
    .end(body);
  return promise;
}

beforeAll(async () => {
  await new Promise<void>((resolve) => controlPlane.listen(0, "127.0.0.1", resolve));
  const address = controlPlane.address();
  url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
  view = await serveView(
    { url, key: KEY, workspaceKeys: [WORKSPACE_KEY], fetch: globalThis.fetch },
    { port: 0 },
  );
  const { pathname, search } = new URL(view.link);
  const entered = await ask(pathname + search);
  expect([entered.status, entered.headers.location]).toEqual([303, "/"]);
  const [set = ""] = entered.headers["set-cookie"] ?? [];
  expect(set).toMatch(/HttpOnly; SameSite=Strict/);
  cookie = set.split(";")[0] ?? "";
});
afterAll(async () => {
  await view?.[Symbol.asyncDispose]();
  controlPlane.close();
});

test("without the secret of the link nothing is served: no page, no key, no call", async () => {
  const before = received.length;
  for (const path of ["/", "/view", "/view?secret=wrong", "/view/keys", "/api/me", "/favicon.svg"])
    expect((await ask(path)).status, path).toBe(401);
  expect((await ask("/api/me", { headers: { cookie: "towpath-view=wrong" } })).status).toBe(401);
  expect(received).toHaveLength(before);
});

test("the page names the address of the workspace keys, and scripts come only from this machine", async () => {
  const page = await ask("/runs/some-run", { headers: { cookie } });
  expect(page.text).toContain('<meta name="towpath-view" content="/view/keys">');
  expect(page.headers["content-security-policy"]).toContain("default-src 'self'");
  const keys = await ask("/view/keys", { headers: { cookie } });
  expect(JSON.parse(keys.text)).toEqual([WORKSPACE_KEY]);
  expect(keys.headers["cache-control"]).toBe("no-store");
});

test("a call is passed on with the profile's key, without the browser's cookie", async () => {
  const body = '{"sealed":true}';
  const origin = `http://127.0.0.1:${view.port}`;
  const headers = { cookie, origin, "content-type": "application/json", authorization: "Bearer planted" };
  expect((await ask("/api/workspace/sealing?a=1", { method: "POST", headers, body })).status).toBe(200);
  const call = received.at(-1);
  expect([call?.line, call?.body]).toEqual(["POST /api/workspace/sealing?a=1", body]);
  expect(call?.headers.authorization).toBe(`Bearer ${KEY}`);
  expect(call?.headers.cookie).toBeUndefined();
});

test("an answer of the control plane is data: it sets no cookie, allows no script, and leads nowhere", async () => {
  const page = await ask("/api/me", { headers: { cookie } });
  expect(page.headers["content-security-policy"]).toBe("default-src 'none'; frame-ancestors 'none'; sandbox");
  expect([page.headers["set-cookie"], page.headers.link]).toEqual([undefined, undefined]);
  expect(page.headers["x-content-type-options"]).toBe("nosniff");
  expect((await ask("/api/elsewhere", { headers: { cookie } })).status).toBe(502);
});

test("pages of other hosts and other names of this machine are refused", async () => {
  const before = received.length;
  const rebound = await ask("/api/me", { headers: { cookie, host: `evil.example:${view.port}` } });
  expect(rebound.status).toBe(421);
  for (const origin of ["http://evil.example", "http://127.0.0.1:1", "null"])
    expect((await ask("/api/runs", { method: "POST", headers: { cookie, origin } })).status).toBe(403);
  expect(received).toHaveLength(before);
});

test("only files of the dashboard are served, whatever the path", async () => {
  for (const path of ["/../package.json", "/%2e%2e/package.json", "/assets/..%2f..%2fpackage.json", "/x.js"])
    expect((await ask(path, { headers: { cookie } })).text, path).not.toContain("dependencies");
  expect((await ask("/x.js", { headers: { cookie } })).status).toBe(404);
});

test("a control plane that does not answer is named", async () => {
  await using lonely = await serveView(
    { url: "http://127.0.0.1:9", key: KEY, workspaceKeys: [], fetch: globalThis.fetch },
    { port: 0 },
  );
  const entered = await fetch(lonely.link, { redirect: "manual" });
  const own = entered.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const failed = await fetch(`http://127.0.0.1:${lonely.port}/api/me`, { headers: { cookie: own } });
  expect([failed.status, await failed.text()]).toEqual([
    502,
    "The control plane at http://127.0.0.1:9 does not answer.\n",
  ]);
});
