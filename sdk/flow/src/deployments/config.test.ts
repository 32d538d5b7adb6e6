import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineConfig, deployment, git, InvalidDefinition, ociLayout, settingsOf } from "../config.ts";
import { flow } from "../index.ts";

const penguins = flow(
  { name: "penguins", input: z.object({ island: z.string().default("Dream") }) },
  () => 1,
);
const registry = ociLayout(".towpath/registry");
const project = { project: "p", pool: "local", registry };

describe("a deployment", () => {
  test("of a flow has its name, and becomes what a spec says", async () => {
    const one = deployment(penguins, {
      secrets: ["plain", { name: "keyed", env: "KEY" }],
      env: { A: "1" },
      timeoutMs: 1000,
      mayStart: ["other"],
      concurrency: { limit: 1, collision: "cancel-new" },
      limits: ["warehouse", { name: "api", slots: 2 }],
      queue: "urgent",
      priority: 5,
    });
    expect(await settingsOf(one, project)).toMatchObject({
      deployment: "penguins",
      pools: ["local"],
      env: { A: "1" },
      timeoutMs: 1000,
      mayStart: ["other"],
      concurrency: { limit: 1, collision: "cancel-new" },
      limits: [
        { name: "warehouse", slots: 1 },
        { name: "api", slots: 2 },
      ],
      queue: "urgent",
      priority: 5,
      secrets: [
        { name: "plain", env: null },
        { name: "keyed", env: "KEY" },
      ],
      parameters: {
        type: "object",
        properties: { island: { default: "Dream" } },
        additionalProperties: false,
      },
    });
  });

  test("of a command takes no parameters unless it has a schema", async () => {
    const one = deployment({ name: "train", command: ["python3", "train.py"] });
    expect(one).toMatchObject({ kind: "command", command: ["python3", "train.py"] });
    expect(await settingsOf(one, project)).toMatchObject({
      parameters: { properties: {}, additionalProperties: false },
    });
  });

  const faults: [string, () => unknown, RegExp][] = [
    [
      "a misspelt option",
      () => deployment(penguins, { timeoutMS: 1 } as object),
      /unknown option "timeoutMS"; did you mean "timeoutMs"\?/,
    ],
    [
      "a bad time limit",
      () => deployment(penguins, { timeoutMs: -1 }),
      /deployment "penguins" is not valid:\n {2}timeoutMs/,
    ],
    ["two pools", () => deployment(penguins, { pools: ["a", "b"] }), /pools: name one pool/],
    ["a bad name", () => deployment(penguins, { name: "No Name" }), /name: use lower-case/],
    ["a variable's name with a dash", () => deployment(penguins, { env: { "A-B": "1" } }), /env\.A-B/],
    ["an empty command", () => deployment({ name: "c", command: [] }), /command/],
    ["no flow at all", () => deployment(undefined as never), /takes a flow/],
  ];
  for (const [what, make, message] of faults)
    test(`with ${what} is refused, naming it`, () => {
      expect(make).toThrow(InvalidDefinition);
      expect(make).toThrow(message);
    });
});

describe("a project", () => {
  test("is what was given, once it is valid", () => {
    const config = { ...project, deployments: [deployment(penguins)] };
    expect(defineConfig(config)).toEqual(config);
    const inGit = {
      ...config,
      registry: git("https://git.example.org/flows.git", { password: { env: "TOKEN" } }),
    };
    expect(defineConfig(inGit).registry).toMatchObject({ kind: "git", name: "code" });
    for (const link of [true, "https://review.example.org/{commit}"]) {
      const linked = { ...config, registry: git("https://git.example.org/flows.git", { link }) };
      expect(defineConfig(linked).registry).toMatchObject({ link });
    }
  });

  const one = deployment(penguins);
  const faults: [string, object, RegExp][] = [
    [
      "two deployments of one name",
      { ...project, deployments: [one, one] },
      /two deployments called "penguins"/,
    ],
    ["none", { ...project, deployments: [] }, /deployments: name at least one/],
    ["a bare flow", { ...project, deployments: [penguins] }, /deployments\.0: wrap it in deployment/],
    ["no pool", { project: "p", registry, deployments: [one] }, /pool/],
    ["a misspelt field", { ...project, deployments: [one], registri: 1 }, /did you mean "registry"/],
    [
      "a git registry without an address",
      { ...project, registry: git(""), deployments: [one] },
      /registry\.url/,
    ],
  ];
  for (const [what, config, message] of faults)
    test(`with ${what} is refused, naming it`, () => {
      expect(() => defineConfig(config as never)).toThrow(message);
    });
});
