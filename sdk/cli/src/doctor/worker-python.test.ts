import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { checkPython, WorkerPython } from "./worker-python.ts";

/** Checks a configuration in a folder with programs, by name of the check. */
async function look(programs: Readonly<Record<string, string>>, python: object) {
  await using folder = await folderWith({});
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(join(folder.root, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder.root, name), 0o755);
  }
  await mkdir(join(folder.root, "wheels"));
  const none = { folder: folder.root, external: new Map() };
  const ground = {
    ...none,
    environment: { PATH: folder.root },
    at: (path: string) => join(folder.root, path),
  };
  const checks = await checkPython(ground, WorkerPython.parse(python));
  return Object.fromEntries(
    checks.map(({ name, ok, detail }) => [name, [ok, detail.replace(folder.root, ".")]]),
  );
}

test("each interpreter must be a supported Python", async () => {
  const programs = { new: "echo 3.12.1", old: "echo 3.6.15", broken: "exit 1" };
  const found = await look(programs, {
    interpreters: { new: "new", old: "old", broken: "broken", gone: "gone" },
  });
  expect(found).toEqual({
    "interpreter new": [true, "Python 3.12.1: ./new"],
    "interpreter old": [false, "./old is Python 3.6.15"],
    "interpreter broken": [false, "./broken is no Python that can be started"],
    "interpreter gone": [false, "./gone is no Python that can be started"],
  });
});

test("a configuration without interpreters has the one of TOWPATH_PYTHON", async () => {
  await using folder = await folderWith({ python: "#!/bin/sh\necho 3.12.1\n" });
  const given = join(folder.root, "python");
  await chmod(given, 0o755);
  const none = { folder: folder.root, external: new Map() };
  const ground = { ...none, environment: { PATH: "", TOWPATH_PYTHON: given }, at: (path: string) => path };
  const found = await checkPython(ground, WorkerPython.parse({}));
  expect(found).toMatchObject([{ name: "interpreter default", ok: true, detail: `Python 3.12.1: ${given}` }]);
});

test("each index must be a folder or answer, and something must be able to install", async () => {
  const indexes = {
    wheels: { folder: "wheels" },
    gone: { folder: "gone" },
    down: { url: "http://127.0.0.1:9/simple" },
  };
  const found = await look({}, { indexes });
  expect(found).toMatchObject({
    "package index wheels": [true, "./wheels"],
    "package index gone": [false, "./gone is no folder"],
    "package index down": [false, expect.stringContaining("http://127.0.0.1:9/simple: ")],
    installer: [false, "there is no uv, and no pip"],
  });
  expect(await look({ uv: "echo uv 0.13.9" }, { indexes: { wheels: { folder: "wheels" } } })).toMatchObject({
    installer: [true, "uv 0.13.9"],
  });
  const pip = { python3: 'echo "pip 26.1 from /lib (python 3.12)"' };
  expect(await look(pip, { indexes: { wheels: { folder: "wheels" } } })).toMatchObject({
    installer: [true, "pip 26.1"],
  });
});

test("a worker without any Python has no such check", async () => {
  expect(await look({}, {})).toEqual({});
});
