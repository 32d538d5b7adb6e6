import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readConfig } from "../config.ts";
import { caught, folderWith } from "../fixture.ts";
import { findConnection } from "./connection.ts";

const server = (url: string) => JSON.stringify({ url, pid: 1 });

async function place() {
  const folder = await folderWith({
    ".towpath/control/server.json": server("http://127.0.0.1:4200"),
    ".towpath/control/admin.key": "twp_api_local\n",
    "home/towpath/config.json": JSON.stringify({ url: "https://hosted.example", key: "twp_api_hosted" }),
  });
  await mkdir(join(folder.root, "a/b"), { recursive: true });
  return folder;
}
const config = (root: string, env: Record<string, string> = {}) =>
  readConfig({ XDG_CONFIG_HOME: join(root, "home"), ...env });

describe("the connection", () => {
  test("is the nearest state folder's", async () => {
    await using folder = await place();
    const found = await findConnection(config(folder.root), { from: join(folder.root, "a/b") });
    expect(found).toMatchObject({ url: "http://127.0.0.1:4200", key: "twp_api_local" });
    expect(found.urlFrom).toBe(join(folder.root, ".towpath/control/server.json"));
  });

  test("is named by options before the environment before folders before the user's file", async () => {
    await using folder = await place();
    const env = { TOWPATH_URL: "http://env:1/", TOWPATH_KEY: "env-key" };
    const from = folder.root;
    expect(await findConnection(config(from, env), { from })).toMatchObject({
      url: "http://env:1",
      key: "env-key",
    });
    const options = { from, url: "http://option:1" };
    expect(await findConnection(config(from, env), options)).toMatchObject({
      url: "http://option:1",
      key: "env-key",
    });
    const state = join(from, "nowhere");
    expect(await findConnection(config(from), { from, state })).toMatchObject({ key: "twp_api_hosted" });
  });

  test("never sends a key that is kept in a file to another address", async () => {
    await using folder = await place();
    const options = { from: folder.root, url: "http://elsewhere:1" };
    expect(await caught(findConnection(config(folder.root), options))).toMatchObject({ code: "no-key" });
    const same = { from: folder.root, url: "http://127.0.0.1:4200/" };
    expect(await findConnection(config(folder.root), same)).toMatchObject({ key: "twp_api_local" });
  });

  test("that is nowhere says how to get one", async () => {
    await using folder = await folderWith();
    const failure = await caught(findConnection(config(folder.root), { from: folder.root }));
    expect(failure).toMatchObject({ code: "no-server", exit: "configuration" });
  });
});
