import type { Client } from "@towpath/client";
import { deploymentPartsOf, Problem } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { Failure } from "../failure.ts";
import { caught } from "../fixture.ts";
import { withClearCommands } from "../program.ts";
import { deploymentFilter, deploymentNamed, findDeployment, typedName } from "./find.ts";

/** The control plane at the network's edge, with these deployments. */
function having(...names: string[]): Client {
  const items = names.map((name) => ({ name }));
  const client: unknown = {
    listDeployments: async ({ query }: { query: { deployment?: string } }) => ({
      items: items.filter(({ name }) =>
        [undefined, deploymentPartsOf(name).deployment].includes(query.deployment),
      ),
    }),
    getDeployment: async ({ params }: { params: { name: string } }) => {
      const found = items.find(({ name }) => name === params.name);
      if (found) return found;
      throw new Problem("deployment-not-found", "");
    },
  };
  return client as Client;
}

describe("a name without a stage", () => {
  test("means the only deployment of that name, whatever its stage", async () => {
    const client = having("churn@prod", "churner@test", "other");
    expect(await findDeployment(client, "churn")).toEqual({ name: "churn@prod" });
    expect(await deploymentNamed(client, "other")).toBe("other");
  });

  test("is refused with all names if there are several", async () => {
    expect(await caught(findDeployment(having("churn", "churn@prod", "churn@test"), "churn"))).toMatchObject({
      message: '"churn" names several deployments: churn@, churn@prod, churn@test.',
      next: ["write one of these names; churn@ is the one without a stage"],
    });
  });
});

describe("the failure about an unclear name", () => {
  const refusal = async () => {
    const failure = await caught(findDeployment(having("churn", "churn@prod"), "churn"));
    if (!(failure instanceof Failure)) throw failure;
    return failure;
  };

  test("has the whole commands that are clear", async () => {
    const argv = ["run", "churn", "-p", "day=a b", "--watch"];
    expect(withClearCommands(await refusal(), argv).next).toEqual([
      "`towpath run churn@ -p 'day=a b' --watch`",
      "`towpath run churn@prod -p 'day=a b' --watch`",
    ]);
    expect(withClearCommands(await refusal(), ["runs", "ls", "--deployment=churn"]).next).toContain(
      "`towpath runs ls --deployment=churn@prod`",
    );
  });

  test("prints no key, and names alone where the word was not typed", async () => {
    const { next } = await refusal();
    expect(withClearCommands(await refusal(), ["run", "churn", "--key", "twp_x"]).next).toEqual(next);
    expect(withClearCommands(await refusal(), ["run"]).next).toEqual(next);
  });
});

describe("a name with a stage", () => {
  const client = having("churn", "churn@prod", "churn@test");

  test("names one deployment; a trailing @ names the one without a stage", async () => {
    expect(await findDeployment(client, "churn@prod")).toEqual({ name: "churn@prod" });
    expect(await findDeployment(client, "churn@")).toEqual({ name: "churn" });
    expect(await findDeployment(client, "churn", "test")).toEqual({ name: "churn@test" });
  });

  test("that does not exist is refused with the closest one", async () => {
    expect(await caught(findDeployment(client, "churn@prud"))).toMatchObject({
      message: 'There is no deployment "churn@prud".',
      next: [expect.stringContaining("churn@prod")],
    });
  });

  test("is suggested in a form that means one deployment", async () => {
    expect(await caught(findDeployment(client, "churm@"))).toMatchObject({
      next: ['did you mean "churn@"?'],
    });
  });

  test("cannot have a second stage", async () => {
    expect(await caught(findDeployment(client, "churn@prod", "test"))).toMatchObject({ exit: "usage" });
    expect(await caught(findDeployment(client, "churn@", "test"))).toMatchObject({ exit: "usage" });
    expect(await deploymentNamed(client, "churn@prod", "prod")).toBe("churn@prod");
  });

  test("is a filter together with --stage, although several deployments have the name", async () => {
    expect(await deploymentFilter(client, "churn", "prod")).toEqual({ deployment: "churn@prod" });
    expect(await deploymentFilter(client, undefined, "prod")).toEqual({});
  });

  for (const name of ["@", "@prod", "churn@@", "churn@prod@", "churn@prod@test", "Churn@prod", "churn@../me"])
    test(`that no deployment can have is refused before it is sent: ${name}`, async () => {
      const failure = { message: `There is no deployment "${name}".`, code: "deployment-not-found" };
      expect(await caught(findDeployment(client, name))).toMatchObject(failure);
      expect(await caught(deploymentNamed(client, name))).toMatchObject(failure);
    });

  test("that no stage can have is refused as the whole name", async () => {
    expect(await caught(deploymentNamed(client, "churn", "Prod"))).toMatchObject({
      message: 'There is no deployment "churn@Prod".',
      next: ['did you mean "churn@prod"?'],
    });
  });
});

test("a printed command has the stage of the deployment, or the name as it was written", () => {
  expect(typedName("churn", "churn@prod")).toBe("churn@prod");
  expect(typedName("churn@", "churn")).toBe("churn@");
  expect(typedName("churn", "churn")).toBe("churn");
  expect(typedName(undefined, undefined)).toBeUndefined();
});
