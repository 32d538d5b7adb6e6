import { SPEC_TYP, Spec } from "@towpath/contract";
import fc from "fast-check";
import { compactVerify, importJWK } from "jose";
import { describe, expect, test } from "vitest";
import { Failure } from "../failure.ts";
import { folderWith } from "../fixture.ts";
import {
  createSigningKey,
  generateSigningKey,
  publicHalf,
  readSigningKey,
  signSpec,
} from "../identity/signing-key.ts";
import { stateFolder, writeWhole } from "../kernel/state-folder.ts";
import type { ProjectDeployment } from "./project.ts";
import { buildSpec, differences, saysTheSame } from "./spec.ts";

const deployment: ProjectDeployment = {
  entry: { kind: "flow", module: "src/flow.ts", export: "penguins" },
  settings: {
    deployment: "penguins",
    floor: 1,
    expiresAt: null,
    pools: ["local"],
    parameters: { type: "object" },
  },
};
const ground = {
  workspaceId: "0193a0b1-7c00-7000-8000-000000000001",
  version: 3,
  floor: 1,
  issuedAt: "2026-01-01T00:00:00.000Z",
  code: { kind: "oci-layout", registry: "local", digest: `sha256:${"a".repeat(64)}` },
  modules: new Map([["src/flow.ts", "src/flow.js"]]),
  tasks: new Map([["src/flow.ts", { load: "v1" }]]),
  remote: new Map([["src/flow.ts", new Map([["train", { pools: new Set(["gpu"]), isOpen: true }]])]]),
  pools: {},
} as const;

describe("a spec", () => {
  test("points at the bundled module, with the contract's defaults", () => {
    const spec = buildSpec(deployment, ground);
    expect(spec.entry).toEqual({ kind: "flow", module: "src/flow.js", export: "penguins" });
    expect(spec.tasks).toEqual({ load: "v1" });
    expect(spec.remoteTasks).toEqual({ train: { pools: ["gpu", "local"], compute: { amounts: {} } } });
    expect(Spec.parse(spec)).toEqual(spec);
  });

  test("lets tasks run in the pools that the stage sets for them", () => {
    expect(buildSpec(deployment, { ...ground, pools: { gpu: "small" } }).remoteTasks.train?.pools).toEqual([
      "local",
      "small",
    ]);
  });

  test("that the contract refuses is reported with deployment and field", () => {
    const settings = { ...deployment.settings, pools: ["No Such Pool"] };
    const build = () => buildSpec({ ...deployment, settings }, ground);
    expect(build).toThrow('The deployment "penguins" is not valid.');
    try {
      build();
    } catch (failure) {
      expect(failure instanceof Failure && failure.faults[0]?.path).toBe("pools.0");
    }
  });

  test.each(["expired", "user", "run-timeout"] as const)(
    "whose policy would retry after %s is refused, and stays readable where it is signed",
    (cause) => {
      const settings = {
        ...deployment.settings,
        retry: { limit: 1, causes: ["error", cause] },
      } satisfies ProjectDeployment["settings"];
      expect(() => buildSpec({ ...deployment, settings }, ground)).toThrow(
        expect.objectContaining({
          code: "invalid-spec",
          faults: [{ path: "retry.causes.1", message: expect.stringContaining(`must not be "${cause}"`) }],
        }),
      );
      const signed = { ...buildSpec(deployment, ground), retry: settings.retry };
      expect(Spec.parse(signed).retry.causes).toEqual(["error", cause]);
    },
  );

  test("equals another spec that differs only in version and time of issue", () => {
    const issuedAt = fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), issuedAt, (version, at) => {
        const other = buildSpec(deployment, { ...ground, version, issuedAt: at.toISOString() });
        expect(saysTheSame(buildSpec(deployment, ground), other)).toBe(true);
      }),
    );
    const changed = { ...deployment, settings: { ...deployment.settings, timeoutMs: 5, env: { A: "b" } } };
    const other = buildSpec(changed, ground);
    expect(saysTheSame(buildSpec(deployment, ground), other)).toBe(false);
    expect(differences(buildSpec(deployment, ground), other).sort()).toEqual(["env", "timeoutMs"]);
  });

  test("equals a spec of other code if both reach the same code, and needs no reach for the same code", () => {
    const built = (reach: string | null, digest: string = ground.code.digest) =>
      buildSpec(deployment, {
        ...ground,
        code: { kind: "oci-layout", registry: "local", digest },
        reach: () => reach?.repeat(64) ?? null,
      });
    const other = `sha256:${"e".repeat(64)}`;
    expect(saysTheSame(built("a"), built("a", other))).toBe(true);
    expect(saysTheSame(built("a"), built("b", other))).toBe(false);
    expect(saysTheSame(built(null), built("a", other))).toBe(false);
    expect(saysTheSame(built("a"), built(null))).toBe(true);
    const slow = buildSpec(
      { ...deployment, settings: { ...deployment.settings, timeoutMs: 5 } },
      { ...ground, reach: () => "a".repeat(64) },
    );
    expect(saysTheSame(built("a"), slow)).toBe(false);
  });
});

describe("a signing key", () => {
  test("signs so that its public half verifies exactly the spec", async () => {
    const key = await generateSigningKey();
    const spec = buildSpec(deployment, ground);
    const jws = await signSpec(spec, key);
    expect(await signSpec(spec, key)).toBe(jws);
    const { payload, protectedHeader } = await compactVerify(jws, await importJWK(publicHalf(key), "EdDSA"));
    expect(protectedHeader).toEqual({ alg: "EdDSA", typ: SPEC_TYP, kid: key.kid });
    expect(Spec.parse(JSON.parse(new TextDecoder().decode(payload)))).toEqual(spec);
    expect(new TextDecoder().decode(payload), "a worker of the release before reads it").not.toContain(
      "stage",
    );
    const staged = await compactVerify(
      await signSpec({ ...spec, stage: "prod" }, key),
      await importJWK(publicHalf(key), "EdDSA"),
    );
    expect(JSON.parse(new TextDecoder().decode(staged.payload))).toMatchObject({ stage: "prod" });
    const stranger = await importJWK(publicHalf(await generateSigningKey()), "EdDSA");
    await expect(compactVerify(jws, stranger)).rejects.toThrow();
  });

  test("is readable for its owner alone, and its public half is in another file", async () => {
    await using place = await folderWith();
    const folder = stateFolder(place.root);
    const key = await createSigningKey(folder);
    expect(await readSigningKey(folder.signingKeyFile)).toEqual(key);
    const { statSync, readFileSync } = await import("node:fs");
    expect(statSync(folder.signingKeyFile).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(folder.signingPublicFile, "utf8"))).toEqual(publicHalf(key));
  });

  test("is refused if the file does not contain a key", async () => {
    await using place = await folderWith();
    const folder = stateFolder(place.root);
    expect(await readSigningKey(folder.signingKeyFile)).toBeNull();
    const key = await generateSigningKey();
    for (const text of [
      "{",
      "{}",
      JSON.stringify({ ...key, kid: "mine" }),
      JSON.stringify(publicHalf(key)),
    ]) {
      await writeWhole(folder.signingKeyFile, text);
      await expect(readSigningKey(folder.signingKeyFile)).rejects.toThrow(
        "does not hold an Ed25519 signing key",
      );
    }
  });
});
