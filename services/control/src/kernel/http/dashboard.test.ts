import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dashboard, fileOf } from "./dashboard.ts";

let outside: string;
let root: string;
const app = new Hono();
beforeAll(async () => {
  outside = await mkdtemp(join(tmpdir(), "towpath-dashboard-"));
  root = join(outside, "dist");
  await mkdir(join(root, "assets"), { recursive: true });
  await writeFile(join(root, "index.html"), "<title>the page</title>");
  await writeFile(join(root, "assets/main-abc123.js"), "export {}");
  await writeFile(join(outside, "secret.txt"), "secret");
  dashboard(root)(app);
});
afterAll(() => rm(outside, { recursive: true, force: true }));

test.each(["/", "/runs/0199a000-0000-7000-8000-000000000001", "/anything/else"])(
  "the page is served at %s",
  async (path) => {
    const response = await app.request(path, { headers: { accept: "text/html" } });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("the page");
  },
);

test("hashed files are immutable; other files are revalidated", async () => {
  const hashed = await app.request("/assets/main-abc123.js");
  expect(hashed.headers.get("content-type")).toContain("javascript");
  expect(hashed.headers.get("cache-control")).toContain("immutable");
  expect((await app.request("/")).headers.get("cache-control")).toBe("no-cache");
});

test("hashed files are compressed on request, the same each time", async () => {
  const plain = await app.request("/assets/main-abc123.js");
  expect([plain.headers.get("content-encoding"), plain.headers.get("vary")]).toEqual([
    null,
    "accept-encoding",
  ]);
  for (let times = 0; times < 2; times++) {
    const packed = await app.request("/assets/main-abc123.js", {
      headers: { "accept-encoding": "br, gzip" },
    });
    expect(packed.headers.get("content-encoding")).toBe("gzip");
    expect(gunzipSync(Buffer.from(await packed.arrayBuffer())).toString()).toBe("export {}");
  }
  const gone = await app.request("/assets/gone.js", { headers: { "accept-encoding": "gzip" } });
  expect(gone.status).toBe(404);
});

test("a missing file is not answered with the page", async () => {
  expect((await app.request("/assets/gone.js")).status).toBe(404);
});

describe("nothing outside the folder is served", () => {
  test.each([
    "/../secret.txt",
    "/%2e%2e/secret.txt",
    "/..%2fsecret.txt",
    "/assets/..%2f..%2fsecret.txt",
    "/%00.txt",
    "/..%5csecret.txt",
  ])("%s", async (path) => {
    const response = await app.request(path);
    expect(await response.text()).not.toContain("secret");
  });

  test("no path resolves outside the folder, whatever its characters", () => {
    const piece = fc.constantFrom("..", ".", "%2e", "%2f", "/", "\\", "%5c", "%00", "a", "secret.txt", "%");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const file = fileOf("/srv/dist", `/${pieces.join("")}`);
        return file === null || file.startsWith(`/srv/dist${sep}`);
      }),
    );
  });
});

test("a dashboard that is not built is explained", async () => {
  const empty = new Hono();
  dashboard(join(outside, "nowhere"))(empty);
  const response = await empty.request("/", { headers: { accept: "text/html" } });
  expect(response.status).toBe(503);
  expect(await response.text()).toContain("npm run build");
});
