import { mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { caught, folderWith } from "../fixture.ts";
import {
  changeUserConfig,
  checkProfileName,
  type Profile,
  profileNamed,
  readUserConfig,
} from "./profiles.ts";

const profile = (name: string): Profile => ({
  name,
  url: `https://${name}.example`,
  key: `key-of-${name}`,
  workspace: "acme",
});
const adding = (file: string, name: string) =>
  changeUserConfig(file, ({ profiles }) => ({ profiles: [...profiles, profile(name)], active: name }));

describe("the user's configuration", () => {
  test("without a file has no profiles", async () => {
    await using folder = await folderWith();
    expect(await readUserConfig(join(folder.root, "none/config.json"))).toMatchObject({
      profiles: [],
      active: null,
    });
  });

  test("of the older form is the profile default, and stays one after a change", async () => {
    await using folder = await folderWith({ "config.json": '{"url":"https://old.example","key":"k","x":1}' });
    const file = join(folder.root, "config.json");
    const older = { name: "default", url: "https://old.example", key: "k" };
    expect(await readUserConfig(file)).toMatchObject({ profiles: [older], active: "default" });
    await adding(file, "prod");
    expect(await readUserConfig(file)).toMatchObject({ profiles: [older, profile("prod")], active: "prod" });
    expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ x: 1, profile: "prod" });
  });

  test("can be read by its user alone, also if others could before", async () => {
    await using folder = await folderWith({ "config.json": "{}" });
    for (const file of [join(folder.root, "config.json"), join(folder.root, "new/towpath/config.json")]) {
      await adding(file, "prod");
      expect((await stat(file)).mode & 0o777).toBe(0o600);
    }
    expect((await stat(join(folder.root, "new/towpath"))).mode & 0o777).toBe(0o700);
  });

  test("keeps every profile of concurrent changes, and readers always see a whole file", async () => {
    await using folder = await folderWith();
    const file = join(folder.root, "config.json");
    const names = Array.from({ length: 20 }, (_, index) => `p${index}`);
    let isOver = false;
    const reading = (async () => {
      while (!isOver) await readUserConfig(file);
    })();
    await Promise.all(names.map((name) => adding(file, name)));
    isOver = true;
    await reading;
    const { profiles } = await readUserConfig(file);
    expect(profiles.map(({ name }) => name).sort()).toEqual(names.sort());
  });

  test("that is a link to another file stays a link", async () => {
    await using folder = await folderWith({ "dotfiles/config.json": "{}" });
    await mkdir(join(folder.root, "home"));
    const [file, target] = [join(folder.root, "home/config.json"), join(folder.root, "dotfiles/config.json")];
    await symlink(target, file);
    await adding(file, "prod");
    expect(await readFile(target, "utf8")).toContain("key-of-prod");
    expect((await readUserConfig(file)).active).toBe("prod");
  });

  test.each(["{", "[]", '{"profiles":{"prod":{"key":"k"}}}'])(
    "that is damaged is refused by readers and never replaced: %s",
    async (text) => {
      await using folder = await folderWith({ "config.json": text });
      const file = join(folder.root, "config.json");
      for (const use of [() => readUserConfig(file), () => adding(file, "prod")])
        expect(await caught(use())).toMatchObject({ code: "bad-config-file", exit: "configuration" });
      expect(await readFile(file, "utf8")).toBe(text);
      expect(await stat(`${file}.lock`).catch(() => null)).toBeNull();
    },
  );

  test("whose lock a killed command left is not changed, and the message names the lock", async () => {
    await using folder = await folderWith();
    const file = join(folder.root, "config.json");
    await writeFile(`${file}.lock`, "");
    expect(await caught(adding(file, "prod"))).toMatchObject({
      code: "locked",
      next: [expect.stringContaining(`remove ${file}.lock`)],
    });
  });
});

describe("a profile", () => {
  test("that does not exist is refused with the names of the others", async () => {
    await using folder = await folderWith();
    const config = await adding(join(folder.root, "config.json"), "prod");
    expect(() => profileNamed(config, "constructor")).toThrow('There is no profile "constructor"');
    const failure = await caught((async () => profileNamed(config, "prdo"))());
    expect(failure).toMatchObject({ code: "no-such-profile", next: ["profiles: prod", expect.any(String)] });
  });

  test("is in use without a choice only if it is the only one", async () => {
    await using folder = await folderWith();
    const file = join(folder.root, "config.json");
    for (const name of ["a", "b"]) await adding(file, name);
    const without = (name: string) =>
      changeUserConfig(file, (before) => ({
        ...before,
        profiles: before.profiles.filter((one) => one.name !== name),
      }));
    await adding(file, "c");
    expect((await without("c")).active).toBeNull();
    expect((await without("b")).active).toBe("a");
  });

  test.each(["", "-x", "__proto__", "a b", "a/b", "x".repeat(64)])("cannot have the name %j", (name) => {
    expect(() => checkProfileName(name)).toThrow("cannot be the name of a profile");
  });
});
