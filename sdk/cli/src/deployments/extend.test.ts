import { expect, test } from "vitest";
import { Failure } from "../failure.ts";
import { extendIgnored, extendManifest } from "./extend.ts";

const place = { name: "flows", path: "package.json", towpath: "^1.2.3" };

test("a new project depends on the release that it is told of", () => {
  const made = JSON.parse(extendManifest(null, place));
  expect(made.dependencies.towpath).toBe("^1.2.3");
  expect(made).toMatchObject({ name: "flows", private: true, type: "module" });
});

test("a package.json that is there keeps all it says and gains what it lacks", () => {
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

test("what is no manifest, or one of CommonJS, is refused with what to do", () => {
  for (const text of ["[]", "{", '{"type":"commonjs"}'])
    expect(() => extendManifest(text, place)).toThrow(Failure);
});
