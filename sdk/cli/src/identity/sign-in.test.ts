import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { createClient } from "@towpath/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EXIT, Failure } from "../failure.ts";
import { folderWith } from "../fixture.ts";
import { signInLink } from "./sign-in.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const PATH = "/sign-in?token=once";

/** A control plane that says what it likes as the address of its sign-in page. */
let said = "";
const controlPlane = createServer((_, response) => {
  response.writeHead(201, { "content-type": "application/json" });
  response.end(JSON.stringify({ url: said, expiresAt: "2030-01-01T00:00:00.000Z" }));
});
let port: number;
beforeAll(async () => {
  await new Promise<void>((resolve) => controlPlane.listen(0, "127.0.0.1", resolve));
  const address = controlPlane.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
});
afterAll(() => controlPlane.close());

/** The link that is printed, or the failure. */
async function linkFor(link: string, dashboards: readonly string[] = []) {
  said = link;
  const url = `http://127.0.0.1:${port}`;
  return await signInLink(createClient({ url, token: "twp_api_x" }), { to: "/", url, dashboards }).then(
    (made) => made.link,
    (failure: unknown) => {
      if (failure instanceof Failure) return failure;
      throw failure;
    },
  );
}

test("a sign-in link leads to the host of the control plane's address", async () => {
  for (const host of ["127.0.0.1", "localhost"])
    expect(await linkFor(`http://${host}:${port}${PATH}`)).toBe(`http://${host}:${port}${PATH}&to=%2F`);
});

test.each([
  ["another host", () => `https://towpath.example.com${PATH}`],
  ["another port", () => `http://127.0.0.1:${port + 1}${PATH}`],
  ["a login before the host", () => `http://127.0.0.1:${port}@towpath.example.com${PATH}`],
  ["a login at the right host", () => `http://user:pass@127.0.0.1:${port}${PATH}`],
  ["a script", () => "javascript:alert(1)"],
  ["a file", () => "file:///etc/passwd"],
  ["no address, with escape sequences", () => "\u001b]0;liar\u0007"],
])("a link to %s is not made, and the message says why", async (_, link) => {
  const failure = await linkFor(link());
  expect(failure).toMatchObject({ code: "foreign-link", exit: "notPermitted" });
  const { message, next } = failure as Failure;
  expect(message).toContain("leads elsewhere");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are what it must find.
  expect(message).not.toMatch(/[\u0000-\u001f]/);
  expect(next.join("\n")).toContain("TOWPATH_DASHBOARD_URL=https://HOST");
});

test("the user's configuration can name the dashboard's host, with TLS", async () => {
  const dashboards = ["https://a.example.com", "https://towpath.example.com"];
  const link = `https://towpath.example.com${PATH}&to=%2F`;
  expect(await linkFor(`https://towpath.example.com${PATH}`, dashboards)).toBe(link);
  // A proxy that ends TLS hides it from the control plane.
  expect(await linkFor(`http://towpath.example.com${PATH}`, dashboards)).toBe(link);
  const longer = `https://towpath.example.com.liar.example${PATH}`;
  expect(await linkFor(longer, dashboards)).toMatchObject({ code: "foreign-link" });
});

test.each(["http://towpath.example.com", "towpath.example.com", "file:///x"])(
  "the dashboard's address %s is refused",
  async (address) => {
    const failure = await linkFor(`http://127.0.0.1:${port}${PATH}`, [address]);
    expect(failure).toMatchObject({ code: "bad-dashboard-url", exit: "configuration" });
  },
);

test("`towpath open` prints no foreign link, and reads TOWPATH_DASHBOARD_URL", async () => {
  await using folder = await folderWith();
  const open = async (env: Readonly<Record<string, string>>) => {
    const own = { PATH: process.env.PATH, HOME: folder.root, TOWPATH_KEY: "twp_api_x" };
    const child = spawn(process.execPath, [MAIN, "open", "--json"], {
      cwd: folder.root,
      env: { ...own, TOWPATH_URL: `http://127.0.0.1:${port}`, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const ended = once(child, "close");
    const [out, err] = [await text(child.stdout), await text(child.stderr)];
    const [code]: unknown[] = await ended;
    return { code, out, err };
  };
  said = `https://towpath.example.com${PATH}`;
  const [refused, named] = await Promise.all([
    open({}),
    open({ TOWPATH_DASHBOARD_URL: "https://a.example.com, https://towpath.example.com" }),
  ]);
  expect(refused).toMatchObject({ code: EXIT.notPermitted, out: "" });
  expect(JSON.parse(refused.err).error.code).toBe("foreign-link");
  expect(named.code, named.err).toBe(EXIT.ok);
  expect(JSON.parse(named.out).url).toBe(`${said}&to=%2F`);
});
