import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { Problem } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { readConfig } from "../config.ts";
import { toFailure } from "../failure.ts";
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

  test("comes from options, then the environment, then folders, then the user's file", async () => {
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

  test("never sends the target of a link as the folder's key", async () => {
    await using folder = await folderWith({
      "secret.txt": "not for anybody",
      "clone/.towpath/control/server.json": server("https://evil.example"),
    });
    const from = join(folder.root, "clone");
    await symlink(join(folder.root, "secret.txt"), join(from, ".towpath/control/admin.key"));
    expect(await caught(findConnection(config(folder.root), { from }))).toMatchObject({ code: "no-key" });
  });

  test("that is not configured is refused with the next step", async () => {
    await using folder = await folderWith();
    const failure = await caught(findConnection(config(folder.root), { from: folder.root }));
    expect(failure).toMatchObject({ code: "no-server", exit: "configuration" });
  });
});

describe("a profile", () => {
  const PROFILES = {
    prod: { url: "https://prod.example", key: "key-of-prod" },
    eu: { url: "https://prod.example", key: "key-of-eu" },
    bare: { url: "https://bare.example" },
  };
  const withProfiles = (active?: string, files: Record<string, string> = {}) =>
    folderWith({
      "home/towpath/config.json": JSON.stringify({ profile: active, profiles: PROFILES }),
      ...files,
    });

  test("is chosen by --profile, then TOWPATH_PROFILE, then by `towpath profiles use`", async () => {
    await using folder = await withProfiles("prod");
    const from = folder.root;
    const env = { TOWPATH_PROFILE: "eu" };
    expect(await findConnection(config(from), { from })).toMatchObject({ key: "key-of-prod" });
    expect(await findConnection(config(from, env), { from })).toMatchObject({ key: "key-of-eu" });
    expect(await findConnection(config(from, env), { from, profile: "prod" })).toMatchObject({
      url: "https://prod.example",
      key: "key-of-prod",
      profile: "prod",
      keyFrom: `the profile "prod" in ${join(from, "home/towpath/config.json")}`,
    });
  });

  test("that a command names goes before a state folder, TOWPATH_URL and TOWPATH_KEY", async () => {
    await using folder = await withProfiles("prod", {
      ".towpath/control/server.json": server(HERE),
      ".towpath/control/admin.key": "key-of-folder",
    });
    const from = folder.root;
    expect(await findConnection(config(from), { from })).toMatchObject({ url: HERE, key: "key-of-folder" });
    const env = { TOWPATH_URL: ELSEWHERE, TOWPATH_KEY: "mine" };
    expect(await findConnection(config(from, env), { from, profile: "eu" })).toMatchObject({
      url: "https://prod.example",
      key: "key-of-eu",
    });
    expect(await findConnection(config(from, env), { from, profile: "bare" })).toMatchObject({ key: "mine" });
    const given = { from, profile: "eu", key: "given" };
    expect(await findConnection(config(from), given)).toMatchObject({ key: "given", profile: "eu" });
  });

  test("without a key does not take the key of another profile of the same address", async () => {
    const profiles = { prod: { url: HERE, key: "k" }, bare: { url: HERE } };
    await using folder = await folderWith({
      "home/towpath/config.json": JSON.stringify({ profile: "bare", profiles }),
    });
    const from = folder.root;
    for (const options of [{ from }, { from, profile: "bare" }])
      expect(await caught(findConnection(config(from), options))).toMatchObject({ code: "no-key" });
  });

  test("is needed for an address of which several profiles have a key", async () => {
    await using folder = await withProfiles("bare");
    const from = folder.root;
    const options = { from, url: "https://prod.example" };
    expect(await caught(findConnection(config(from), options))).toMatchObject({
      code: "profile-needed",
      next: [expect.stringContaining("prod, eu")],
    });
    const env = { TOWPATH_PROFILE: "eu" };
    expect(await findConnection(config(from, env), options)).toMatchObject({ key: "key-of-eu" });
  });

  test("together with another address is refused, and so is one that does not exist", async () => {
    await using folder = await withProfiles();
    const from = folder.root;
    const refused = (options: object, env: Record<string, string> = {}) =>
      caught(findConnection(config(from, env), { from, ...options }));
    expect(await refused({ profile: "prod", url: HERE })).toMatchObject({ exit: "usage" });
    const both = { TOWPATH_PROFILE: "prod", TOWPATH_URL: HERE };
    expect(await refused({}, both)).toMatchObject({ code: "profile-and-url" });
    expect(await refused({ profile: "prdo" })).toMatchObject({ code: "no-such-profile" });
    expect(await refused({})).toMatchObject({
      code: "no-server",
      next: [expect.stringContaining("prod, eu, bare"), expect.any(String)],
    });
  });

  test("must be shown where the user could mean another one", async () => {
    await using several = await withProfiles("prod");
    await using one = await folderWith({
      "home/towpath/config.json": JSON.stringify({ profiles: { prod: PROFILES.prod } }),
      "local/.towpath/control/server.json": server(HERE),
    });
    const shown = async (root: string, from: string, options: object = {}) =>
      (await findConnection(config(root), { from, ...options })).isOneOfSeveral;
    expect(await shown(several.root, several.root)).toBe(true);
    expect(await shown(one.root, one.root)).toBe(false);
    expect(await shown(one.root, join(one.root, "local"), { profile: "prod" })).toBe(true);
    expect(await shown(one.root, one.root, { url: ELSEWHERE, key: "k" })).toBe(true);
  });
});

const PLACES = ["option", "environment", "folder", "user"] as const;
type Place = (typeof PLACES)[number];
const [HERE, ELSEWHERE] = ["https://here.example", "https://elsewhere.example"];

/** Finds a connection where the address comes from one place and a key from another, which may name an address as well. */
async function connectWith(args: { url: Place; key: Place; beside?: string | undefined }) {
  const urlOf = (place: Place) => (place === args.url ? HERE : place === args.key ? args.beside : undefined);
  const keyOf = (place: Place) => (place === args.key ? `key-of-${place}` : undefined);
  const [folderUrl, folderKey] = [urlOf("folder"), keyOf("folder")];
  await using folder = await folderWith({
    ".towpath/none": "",
    ...(folderUrl ? { ".towpath/control/server.json": server(folderUrl) } : {}),
    ...(folderKey ? { ".towpath/control/admin.key": folderKey } : {}),
    "home/towpath/config.json": JSON.stringify({ url: urlOf("user"), key: keyOf("user") }),
  });
  const env = { TOWPATH_URL: urlOf("environment") ?? "", TOWPATH_KEY: keyOf("environment") ?? "" };
  const options = { from: folder.root, url: urlOf("option"), key: keyOf("option") };
  const found = await findConnection(config(folder.root, env), options).catch((failure) => failure);
  return "key" in found ? `${found.key} to ${found.url}` : found.code;
}

describe("a key", () => {
  const sent = (key: Place) => `key-of-${key} to ${HERE}`;
  /** What comes of it, by the place of the key and that of the address. */
  const TABLE: Record<Place, Record<Place, (key: Place) => string>> = {
    option: { option: sent, environment: sent, folder: () => "key-not-sent", user: sent },
    environment: { option: sent, environment: sent, folder: () => "key-not-sent", user: sent },
    folder: { option: () => "no-key", environment: () => "no-key", folder: sent, user: () => "no-key" },
    user: { option: () => "no-key", environment: () => "no-key", folder: () => "no-key", user: sent },
  };
  const rows = PLACES.flatMap((key) => PLACES.map((url) => ({ key, url, expected: TABLE[key][url](key) })));

  test.each(rows)("of $key, for an address of $url: $expected", async ({ key, url, expected }) => {
    expect(await connectWith({ key, url })).toBe(expected);
  });

  const kept = (["folder", "user"] as const).flatMap((key) =>
    (["option", "environment"] as const).map((url) => ({ key, url })),
  );
  test.each(kept)("of $key goes to an address of $url only if it is kept beside it", async ({ key, url }) => {
    expect(await connectWith({ key, url, beside: ELSEWHERE })).toBe("no-key");
    expect(await connectWith({ key, url, beside: `${HERE}/` })).toBe(sent(key));
  });

  test.each(["", HERE])(
    "of the person's own file goes before that of a folder for the same address (%j)",
    async (url) => {
      await using folder = await folderWith({
        ".towpath/control/server.json": server(HERE),
        ".towpath/control/admin.key": "key-of-folder",
        "home/towpath/config.json": JSON.stringify({ url: HERE, key: "key-of-user" }),
      });
      const found = await findConnection(config(folder.root, { TOWPATH_URL: url }), { from: folder.root });
      expect(found).toMatchObject({
        url: HERE,
        key: "key-of-user",
        keyFrom: join(folder.root, "home/towpath/config.json"),
      });
      const failure = toFailure(new Problem("unauthenticated", "no such key"), found);
      const file = join(folder.root, ".towpath/control/admin.key");
      expect(failure.next.slice(0, 2)).toEqual([
        `the key came from ${found.keyFrom}`,
        `the state folder has another key for this address; to use it, add \`--key "$(cat '${file}')"\``,
      ]);
      const chosen = { from: folder.root, key: "key-of-folder" };
      const other = await findConnection(config(folder.root, { TOWPATH_URL: url }), chosen);
      expect(other).toMatchObject({ key: "key-of-folder", unusedKeyFile: undefined });
    },
  );

  test("of a person goes to a folder's address which the person's own configuration names too", async () => {
    await using folder = await folderWith({
      ".towpath/control/server.json": server(HERE),
      "home/towpath/config.json": JSON.stringify({ url: HERE }),
    });
    const found = await findConnection(config(folder.root, { TOWPATH_KEY: "mine" }), { from: folder.root });
    expect(found).toMatchObject({ url: HERE, key: "mine" });
  });

  test("of a person that is not sent: the message names the source of the address and the next step", async () => {
    await using folder = await folderWith({ ".towpath/control/server.json": server(HERE) });
    const env = { TOWPATH_KEY: "mine" };
    const failure = await caught(findConnection(config(folder.root, env), { from: folder.root }));
    expect(failure).toMatchObject({
      message: expect.stringContaining(`TOWPATH_KEY is not sent to ${HERE}`),
      next: [
        expect.stringContaining(join(folder.root, ".towpath/control/server.json")),
        expect.stringContaining("TOWPATH_URL"),
        expect.stringContaining("leave out TOWPATH_KEY"),
      ],
    });
  });
});
