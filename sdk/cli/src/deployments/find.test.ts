import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Client } from "@towpath/client";
import { deploymentPartsOf, Problem } from "@towpath/contract";
import { describe, expect, test } from "vitest";
import { towpath } from "../commands.ts";
import { Failure } from "../failure.ts";
import { caught } from "../fixture.ts";
import { withClearCommands } from "../kernel/clear-commands.ts";
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

const root: CommandUnknownOpts = await towpath(async () => undefined);

/** The command that words call, such as `runs ls`. */
function commandOf(names: string): CommandUnknownOpts {
  return names.split(" ").reduce<CommandUnknownOpts>((above, name) => {
    const found = above.commands.find((one) => one.name() === name);
    if (found === undefined) throw new Error(`no command ${names}`);
    return found;
  }, root);
}

describe("the failure about an unclear name", () => {
  const refusal = async (name: string) => {
    const failure = await caught(findDeployment(having(name, `${name}@prod`), name));
    if (!(failure instanceof Failure)) throw failure;
    return failure;
  };
  const nextOf = async (names: string, name: string, ...argv: string[]) =>
    withClearCommands(await refusal(name), { argv, command: commandOf(names) }).next;

  test("has the whole commands that are clear", async () => {
    expect(await nextOf("run", "churn", "run", "churn", "--tag", "a b", "--watch")).toEqual([
      "`towpath run churn@ --tag 'a b' --watch`",
      "`towpath run churn@prod --tag 'a b' --watch`",
    ]);
    expect(await nextOf("runs ls", "churn", "runs", "ls", "--deployment=churn")).toContain(
      "`towpath runs ls --deployment=churn@prod`",
    );
  });

  test("replaces the argument, not a command or the value of another option", async () => {
    expect(await nextOf("run", "run", "run", "run")).toContain("`towpath run run@prod`");
    expect(await nextOf("run", "prod", "--profile", "prod", "run", "prod")).toContain(
      "`towpath --profile prod run prod@prod`",
    );
    expect(await nextOf("run", "a", "run", "--name=a", "-p", "a", "--", "a")).toContain(
      "`towpath run --name=a -p … -- a@prod`",
    );
    expect(
      await nextOf("runs ls", "churn", "runs", "ls", "--tag", "churn", "--deployment", "churn"),
    ).toContain("`towpath runs ls --tag churn --deployment churn@prod`");
  });

  test("prints no value of a parameter", async () => {
    const argv = [
      "run",
      "churn",
      "-p",
      "password=hunter2",
      "-pday=a b",
      "--param=x=y",
      "--param",
      "[hunter2",
    ];
    expect(await nextOf("run", "churn", ...argv)).toContain(
      "`towpath run churn@prod -p password=… -pday=… --param=x=… --param …`",
    );
  });

  test("prints no key, and names alone where the word was not typed", async () => {
    const { next } = await refusal("churn");
    expect(await nextOf("run", "churn", "run", "churn", "--key", "twp_x")).toEqual(next);
    expect(await nextOf("run", "churn", "run")).toEqual(next);
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
