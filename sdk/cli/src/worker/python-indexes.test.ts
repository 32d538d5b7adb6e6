import { join } from "node:path";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { pythonIndexes } from "./python-indexes.ts";

const MANIFEST = `
[project]
name = "shop"

[[tool.uv.index]]
name = "internal"
url = "https://packages.example.com/simple"

[[tool.uv.index]]
name = "wheels"
url = "./wheels"
format = "flat"
`;

async function indexes(environment: Record<string, string>, names: readonly string[] = [], toml = MANIFEST) {
  await using folder = await folderWith({ "pyproject.toml": toml });
  const found = await pythonIndexes(folder.root, { names, environment });
  return JSON.parse(JSON.stringify(found).replaceAll(folder.root, "ROOT"));
}

test("the default index is that of uv, of pip, of the project, or the public one", async () => {
  const [uv, pip] = ["https://uv.example.com/simple", "https://pip.example.com/simple"];
  expect(await indexes({ UV_DEFAULT_INDEX: uv, PIP_INDEX_URL: pip })).toEqual({ default: { url: uv } });
  expect(await indexes({ PIP_INDEX_URL: pip })).toEqual({ default: { url: pip } });
  expect(await indexes({})).toEqual({ default: { url: "https://pypi.org/simple" } });
  const own = `[[tool.uv.index]]\nurl = "https://own.example.com"\ndefault = true\n`;
  expect(await indexes({}, [], own)).toEqual({ default: { url: "https://own.example.com" } });
  expect(await indexes({}, [], "")).toEqual({ default: { url: "https://pypi.org/simple" } });
});

test("an index that the lock names is found in the project or in UV_INDEX, and its password stays in its variable", async () => {
  const url = "https://packages.example.com/simple";
  expect(await indexes({}, ["internal", "wheels"])).toMatchObject({
    internal: { url },
    wheels: { folder: join("ROOT", "wheels") },
  });
  const other = "https://other.example.com/simple";
  expect(
    await indexes({ UV_INDEX: `x=https://x.example.com internal=${other}` }, ["internal"]),
  ).toMatchObject({
    internal: { url: other },
  });
  const credentials = { UV_INDEX_INTERNAL_USERNAME: "ada", UV_INDEX_INTERNAL_PASSWORD: "hush" };
  expect(await indexes(credentials, ["internal"])).toMatchObject({
    internal: { url, username: "ada", password: { env: "UV_INDEX_INTERNAL_PASSWORD" } },
  });
});

test("a name that nothing explains is the machine's own index", async () => {
  const own = "https://own.example.com/simple";
  expect(await indexes({ PIP_INDEX_URL: own }, ["internal"], "")).toEqual({
    default: { url: own },
    internal: { url: own },
  });
});
