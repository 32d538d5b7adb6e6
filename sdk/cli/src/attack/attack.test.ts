import { readdir, readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { attack } from "./attack.fixture.ts";
import { ATTACKS } from "./attacks/index.ts";

const PAGE = new URL("../../../../docs/how-to/attack-your-worker.md", import.meta.url);

test("attacks have names of their own, which are names of deployments", () => {
  const names = ATTACKS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9][a-z0-9-]{0,50}$/);
});

test("the page's command prints what the page shows", async () => {
  const page = await readFile(PAGE, "utf8");
  const [, line = ""] = /```sh run\ntowpath attack (.*)\n```/.exec(page) ?? [];
  const [, shown = ""] = /```text\n(ATTACK[\s\S]*?)\n```/.exec(page) ?? [];
  await using folder = await folderWith();
  const { code, output } = await attack(folder.root, ...line.split(" "));
  expect({ code, output }).toMatchObject({ code: 0, output: expect.stringContaining(shown) });
  expect(await readdir(folder.root)).toEqual([]);
});

test("a worker that cannot start is no worker that held", async () => {
  await using folder = await folderWith({ "worker.json": JSON.stringify({ pool: "Not a name" }) });
  const { code, output } = await attack(folder.root, "--config", "worker.json", "--only", "unsigned");
  expect(code).toBe(1);
  expect(output).toContain("pool: use lower-case letters");
});

test("a wrong name and a wrong path are faults with a next step", async () => {
  await using folder = await folderWith({ "list.json": "[]" });
  expect(await attack(folder.root, "--only", "unsinged")).toEqual({
    code: 64,
    output: expect.stringContaining("did you mean unsigned?"),
  });
  expect(await attack(folder.root, "--config", "none.json")).toEqual({
    code: 78,
    output: expect.stringContaining("none.json cannot be read"),
  });
  expect(await attack(folder.root, "--config", "list.json")).toEqual({
    code: 78,
    output: expect.stringContaining("is not the JSON object of a worker's configuration"),
  });
});
