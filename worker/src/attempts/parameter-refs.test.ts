import type { Assignment, Ref, Trigger } from "@towpath/contract";
import { derivedId, uuidv7 } from "@towpath/contract";
import { beforeAll, expect, test } from "vitest";
import { keyId } from "../store/keyring.ts";
import { RefSigner } from "../store/sign-refs.ts";
import { checkedParameters, signedParameters } from "./parameter-refs.ts";

const secret = Buffer.from("a".repeat(32));
const refs = new RefSigner([{ id: keyId(secret), secret, sinceMs: 0 }], { workspaceId: "one" });
const refOf = (digit: string): Ref => ({
  ...{ uri: `file:///store/${digit}.json`, codec: "json", sizeBytes: 2 },
  sha256: digit.repeat(32) + "0".repeat(32),
});
const parentId = uuidv7(1_800_000_000_000);
const parameters = { model: refOf("a"), parts: [refOf("b"), { deep: refOf("c") }], text: "x", none: null };
let childId: string;
beforeAll(async () => {
  childId = await derivedId(parentId, "start-run score#1");
});

interface Over {
  readonly runId?: string;
  readonly deployment?: string;
  readonly trigger?: Trigger;
}

/** What the flow of a run gets. */
function got(given: Assignment["parameters"], over: Over = {}) {
  const trigger: Trigger = { kind: "run", runId: parentId, path: "start-run score#1" };
  const assignment = { runId: childId, deployment: "score@prod", trigger, ...over };
  return checkedParameters(refs, { assignment, parameters: given });
}
const signed = () => signedParameters(refs, { runId: childId, deployment: "score", parameters });
const PERSON: Trigger = { kind: "person", name: "ada" };

test("a run that a flow starts gets the refs of that flow, under the deployment's name with or without its stage", () => {
  expect(signed()).not.toEqual(parameters);
  expect(got(signed())).toEqual(parameters);
  expect(got(signed(), { deployment: "score" })).toEqual(parameters);
});

test("a ref in parameters is refused in another run, deployment or place, and without its MAC", () => {
  const wrong = (given: Assignment["parameters"], over?: Over) =>
    expect(() => got(given, over)).toThrow(expect.objectContaining({ code: "wrong-ref" }));
  const { model = null, parts = null } = signed();
  const [first = null] = Array.isArray(parts) ? parts : [];
  wrong(signed(), { deployment: "train@prod" });
  wrong(signed(), { runId: parentId });
  wrong(parameters);
  wrong({ model: first });
  wrong({ model, more: model });
  wrong({ parts: [model] });
});

test("a run with the id of a flow's run is refused whatever its trigger says, and the message names the parameter", () => {
  expect(() => got({ parts: [1, { deep: refOf("c") }] }, { trigger: PERSON })).toThrow(
    'the ref in the parameter "parts.1.deep"',
  );
});

test("a run that a person or a rerun starts gets any ref without its MAC, so that a flow can pass it on", () => {
  const rerun: Trigger = { kind: "rerun", name: "ada", runId: childId, fromFailure: false, origin: parentId };
  expect(got(signed(), { runId: parentId, trigger: PERSON })).toEqual(parameters);
  expect(got(parameters, { runId: parentId, trigger: PERSON })).toEqual(parameters);
  expect(got(signed(), { runId: parentId, trigger: rerun })).toEqual(parameters);
});

test("an object with another field than those of a ref stays as it is", () => {
  const file = { ...refOf("a"), sha256: "f".repeat(64), name: "model.bin" };
  expect(got({ file })).toEqual({ file });
});

test("a person's object of another form than that of a ref reaches the flow as it is, also through another flow", () => {
  const file = { uri: "https://example.com/model.gz", codec: "gzip", sizeBytes: 8, sha256: "f".repeat(64) };
  const given = {
    file,
    files: [
      { ...file, codec: "json" },
      { ...file, uri: "file:///model.gz" },
    ],
  };
  expect(got(given, { runId: parentId, trigger: PERSON })).toEqual(given);
  const passedOn = signedParameters(refs, { runId: childId, deployment: "score", parameters: given });
  expect(got(passedOn)).toEqual(given);
});
