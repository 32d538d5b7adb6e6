import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folderWith } from "../fixture.ts";
import { generateSigningKey, publicHalf } from "../identity/signing-key.ts";
import { attack } from "./attack.fixture.ts";
import { ATTACKS } from "./attacks/index.ts";

interface Row {
  readonly name: string;
  readonly held: boolean;
}

test("a worker withstands every attack", async () => {
  await using folder = await folderWith();
  const { output } = await attack(folder.root, "--json");
  const { attacks }: { attacks: Row[] } = JSON.parse(output);
  expect(attacks.filter(({ held }) => !held)).toEqual([]);
  const names = ATTACKS.map(({ name }) => name);
  expect(attacks.map(({ name }) => name)).toEqual([...names, "honest-run-after"]);
});

test("with a configuration, a copy of it is attacked, and its folder stays as it was", async () => {
  const trusted = publicHalf(await generateSigningKey());
  await using folder = await folderWith({
    "worker.key": "twp_wkr_real\n",
    "trusted.jwk": JSON.stringify(trusted),
    "worker.json": JSON.stringify({
      url: "http://127.0.0.1:9",
      key: { file: "worker.key" },
      pool: "warehouse",
      capacity: 3,
      stateDir: "state",
      trustedKeys: [{ file: "trusted.jwk" }],
      registries: { code: { kind: "oci-layout", path: "registry" } },
      store: { root: "store" },
      ledger: "towpath.ledger.jsonl",
      signatures: { "churn@prod": 2 },
      drainMs: 100,
    }),
  });
  const before = await stat(join(folder.root, "worker.json"));
  const only = ["--only", "kid-of-another", "--only", "wrong-pool"];
  const { code, output } = await attack(folder.root, "--config", "worker.json", ...only, "--json");
  const report = JSON.parse(output);
  expect({ code, output }).toMatchObject({ code: 0 });
  expect(report).toMatchObject({ through: 0 });
  expect(report.attacks.map(({ name, held }: Row) => ({ name, held }))).toEqual([
    { name: "kid-of-another", held: true },
    { name: "wrong-pool", held: true },
    { name: "honest-run-after", held: true },
  ]);
  expect(report.remaining[1].limit).toContain("3 runs at once");
  expect((await readdir(folder.root)).sort()).toEqual(["trusted.jwk", "worker.json", "worker.key"]);
  expect((await stat(join(folder.root, "worker.json"))).mtimeMs).toBe(before.mtimeMs);
});
