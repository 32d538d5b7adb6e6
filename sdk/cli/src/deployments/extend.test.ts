import { expect, test } from "vitest";
import { Failure } from "../failure.ts";
import { extendIgnored, extendManifest } from "./extend.ts";

const place = { name: "flows", path: "package.json", towpath: "^1.2.3" };

test("a new project depends on the given release", () => {
  const made = JSON.parse(extendManifest(null, place));
  expect(made.dependencies.towpath).toBe("^1.2.3");
  expect(made).toMatchObject({ name: "flows", private: true, type: "module" });
});

test("an existing package.json keeps its entries and gets the missing ones", () => {
  const present = {
    name: "mine",
    dependencies: { towpath: "file:x.tgz", left: "1.0.0" },
    scripts: { dev: "x" },
  };
  const made = JSON.parse(extendManifest(JSON.stringify(present), place));
  expect(made).toMatchObject(present);
  expect(made.scripts.deploy).toBe("towpath deploy");
  expect(made.dependencies.zod).toBeDefined();
});

test("extending twice changes nothing", () => {
  const once = extendManifest('{"name":"a"}', place);
  expect(extendManifest(once, place)).toBe(once);
  const ignored = extendIgnored("*.log", place);
  expect(ignored).toBe("*.log\nnode_modules/\n.towpath/\n.env\n");
  expect(extendIgnored(ignored, place)).toBe(ignored);
  expect(extendIgnored("node_modules\n.towpath\n.env\n", place)).toBe("node_modules\n.towpath\n.env\n");
});

test("a new .gitignore also has data and databases; an existing one does not get them", () => {
  const fresh = extendIgnored(null, place);
  expect(fresh.split("\n")).toEqual(expect.arrayContaining([".towpath/", "/data/", "*.db", "*.sqlite"]));
  expect(extendIgnored(fresh, place)).toBe(fresh);
  expect(extendIgnored("*.log\n", place)).not.toContain("data/");
});

test("an invalid manifest and a CommonJS manifest are refused with the next step", () => {
  for (const text of ["[]", "{", '{"type":"commonjs"}'])
    expect(() => extendManifest(text, place)).toThrow(Failure);
});
