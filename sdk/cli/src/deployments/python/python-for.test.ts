import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { givenPython } from "../../config.ts";
import { folderWith } from "../../fixture.ts";
import { pythonFor } from "./python-for.ts";

test("a project's own environment wins, then TOWPATH_PYTHON, then the PATH", async () => {
  await using bare = await folderWith({});
  await using own = await folderWith({ "venv/bin/python": "" });
  expect(pythonFor(own.root, "/lent/python")).toEqual({
    path: join(own.root, "venv/bin/python"),
    from: "the project's venv",
  });
  expect(pythonFor(bare.root, "/lent/python")).toEqual({ path: "/lent/python", from: "TOWPATH_PYTHON" });
  expect(pythonFor(bare.root, givenPython({}))).toEqual({ path: "python3", from: "PATH" });
});

test("TOWPATH_PYTHON is a path, and an empty one counts as none", () => {
  expect(givenPython({ TOWPATH_PYTHON: "venv/bin/python" })).toBe(resolve("venv/bin/python"));
  expect(givenPython({ TOWPATH_PYTHON: "" })).toBeUndefined();
});
