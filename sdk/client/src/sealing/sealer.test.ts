import { newWorkspaceKey, Problem, ROUTES, uuidv7 } from "@towpath/contract";
import { expect, test } from "vitest";
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
