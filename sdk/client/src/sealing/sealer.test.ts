import {
  comparableValue,
  isSealedJson,
  type Json,
  newWorkspaceKey,
  Problem,
  ROUTES,
  type Route,
  uuidv7,
} from "@towpath/contract";
import { expect, test } from "vitest";
import type { LooseInput } from "../loose-input.ts";
import { createSealer } from "./sealer.ts";

const ID = uuidv7(Date.UTC(2026, 0, 1));

test("many runs in one request need the deployment once", async () => {
  const asked: string[] = [];
  const sealer = createSealer({ keys: [newWorkspaceKey()], workspace: "w" }, async (name) => {
    asked.push(name);
    return { parameters: { type: "object", properties: { size: { type: "integer" } } } };
  });
  const many = (size: number | string) => {
    const sizes = [...Array(50).keys(), size];
    return {
      body: { deployment: "churn", runs: sizes.map((one) => ({ id: ID, parameters: { size: one } })) },
    };
  };
  const sent = await sealer.request(ROUTES.createRuns, many(1));
  expect(JSON.stringify(sent).match(/"sealed"/g)).toHaveLength(51);
  expect(asked).toEqual(["getDeployment"]);
  const refused = sealer.request(ROUTES.createRuns, many("x"));
  await expect(refused).rejects.toThrow(Problem);
  await expect(refused).rejects.toMatchObject({ code: "invalid-parameters" });
  expect(asked).toHaveLength(2);
});

const RUN = { params: { runId: ID } };
const run = (id: string) => ({ id, deployment: "churn", parameters: { size: 1 } });

/** Each request that repeats one of the same id, and its sealed value. */
const REPEATED: readonly [string, Route, (id: string) => LooseInput, (body: object) => unknown][] = [
  ["createRun", ROUTES.createRun, (id) => ({ body: run(id) }), (body) => Reflect.get(body, "parameters")],
  [
    "createRuns",
    ROUTES.createRuns,
    (id) => ({ body: { deployment: "churn", runs: [run(id)] } }),
    (body) => Reflect.get(Object(Reflect.get(body, "runs")[0]), "parameters"),
  ],
  [
    "rerunRun",
    ROUTES.rerunRun,
    (id) => ({ ...RUN, body: { id, parameters: { size: 1 } } }),
    (body) => Reflect.get(body, "parameters"),
  ],
  [
    "sendEvent",
    ROUTES.sendEvent,
    (id) => ({ body: { id, name: "landed", payload: { at: 1 } } }),
    (body) => Reflect.get(body, "payload"),
  ],
];

test.each(REPEATED)(
  "%s: a repeated request is recognized, also after a new key was put in front",
  async (...args) => {
    const [, route, input, sealedIn] = args;
    const [key, fresh] = [newWorkspaceKey(), newWorkspaceKey()];
    const ask = async () => ({ deployment: "churn", parameters: { type: "object" } });
    const sealed = async (keys: readonly string[], id: string) => {
      const sealer = createSealer({ keys, workspace: "w" }, ask);
      const { body } = await sealer.request(route, input(id));
      const value = sealedIn(Object(body));
      expect(isSealedJson(value)).toBe(true);
      return comparableValue(value as Json);
    };
    const first = await sealed([key], ID);
    expect(await sealed([key], ID)).toEqual(first);
    expect(await sealed([fresh, key], ID)).toEqual(first);
    expect(await sealed([key], uuidv7(Date.UTC(2026, 0, 2)))).not.toEqual(first);
  },
);

test("an answer is sealed even if it is empty, because workers believe only sealed ones", async () => {
  const sealer = createSealer({ keys: [newWorkspaceKey()], workspace: "w" }, async () => ({
    deployment: "churn",
  }));
  for (const answer of [{}, null, "", [], false, { ok: true }]) {
    const { body } = await sealer.request(ROUTES.answerWait, {
      params: { runId: ID, waitId: ID },
      body: { answer },
    });
    expect(isSealedJson(Reflect.get(Object(body), "answer"))).toBe(true);
  }
});
