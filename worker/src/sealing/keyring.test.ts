import { newWorkspaceKey, openKeyring, type SealedPlace } from "@towpath/contract";
import VECTORS from "@towpath/contract/sealing-vectors" with { type: "json" };
import { expect, test } from "vitest";
import { WorkerKeyring } from "./keyring.ts";

const PLACE: SealedPlace = { workspace: "w", deployment: "churn", field: "log", origin: "run/1" };
const EXPECTED = { workspace: "w", field: "log", deployments: ["churn"], origins: ["run/1"] } as const;

test.each(VECTORS.opened)("$name is opened where it belongs", ({ place, text, compact }) => {
  const { workspace, field, deployment, origin } = place as SealedPlace;
  const ring = new WorkerKeyring([VECTORS.key]);
  expect(ring.kids).toEqual([VECTORS.kid]);
  expect(ring.unseal(compact, { workspace, field, deployments: [deployment], origins: [origin] })).toBe(text);
});

test.each(VECTORS.refused)("$name is refused as $fault", ({ fault, compact, expected }) => {
  const { field } = expected as { field: SealedPlace["field"] };
  const open = () => new WorkerKeyring([VECTORS.key]).unseal(compact, { ...expected, field });
  expect(open).toThrow(expect.objectContaining({ name: "SealError", fault }));
});

test.each(VECTORS.macs)("the MAC for $purpose is the same as everywhere", ({ purpose, text, mac }) => {
  expect(new WorkerKeyring([VECTORS.key]).mac(purpose, text)).toBe(mac);
});

test("what the worker seals, a client opens, and the other way round", async () => {
  const key = newWorkspaceKey();
  const [ours, theirs] = [new WorkerKeyring([key]), await openKeyring([key])];
  const text = "Zürich 💥 \u0000";
  expect(await theirs.unseal(ours.seal(PLACE, text), EXPECTED)).toBe(text);
  expect(ours.unseal(await theirs.seal(PLACE, text), EXPECTED)).toBe(text);
});
