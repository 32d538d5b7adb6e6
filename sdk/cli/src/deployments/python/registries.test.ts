import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { CodePin } from "@towpath/contract";
import { parse } from "smol-toml";
import {
  archive,
  defineConfig,
  deployment,
  git,
  npm,
  oci,
  ociLayout,
  type Registry,
  s3,
} from "towpath/config";
import { describe, expect, test } from "vitest";
import { caught } from "../../fixture.ts";
import { projectOf, type Table } from "./data.ts";
import { hasPython } from "./project.fixture.ts";

const SDK = fileURLToPath(new URL("../../../../python/src", import.meta.url));

type Kind = CodePin["kind"];
type Every<K extends Kind> = Required<Extract<Registry, { kind: K }>>;

/** One kind of code registry with all its fields, in each way of writing it. */
interface Written<K extends Kind> {
  /** The compiler refuses it if a field is missing. */
  readonly every: Every<K>;
  readonly typescript: Registry;
  readonly toml: string;
  readonly python: string;
}

const DIGEST = `sha256:${"a".repeat(64)}`;
const password = { env: "PASSWORD" } as const;
const token = { file: "/run/token" } as const;
const KINDS: { readonly [K in Kind]: Written<K> } = {
  "oci-layout": {
    every: { kind: "oci-layout", name: "own", path: "/srv/code" },
    typescript: ociLayout("/srv/code", { name: "own" }),
    toml: `oci_layout = "/srv/code"`,
    python: `oci_layout("/srv/code", name="own")`,
  },
  oci: {
    every: {
      kind: "oci",
      name: "own",
      url: "https://oci.internal/data/flows",
      username: "robot",
      password,
      tokenUrl: "https://auth.internal/token",
    },
    typescript: oci("https://oci.internal/data/flows", {
      name: "own",
      username: "robot",
      password,
      tokenUrl: "https://auth.internal/token",
    }),
    toml: `oci = "https://oci.internal/data/flows"
username = "robot"
password = { env = "PASSWORD" }
token_url = "https://auth.internal/token"`,
    python: `oci("https://oci.internal/data/flows", name="own", username="robot", password={"env": "PASSWORD"}, token_url="https://auth.internal/token")`,
  },
  s3: {
    every: {
      kind: "s3",
      name: "own",
      url: "s3://code/flows",
      endpoint: "https://s3.internal",
      region: "eu-central-1",
      accessKeyId: { env: "KEY_ID" },
      secretAccessKey: password,
      sessionToken: token,
      digest: DIGEST,
    },
    typescript: s3("s3://code/flows", {
      name: "own",
      endpoint: "https://s3.internal",
      region: "eu-central-1",
      accessKeyId: { env: "KEY_ID" },
      secretAccessKey: password,
      sessionToken: token,
      digest: DIGEST,
    }),
    toml: `s3 = "s3://code/flows"
endpoint = "https://s3.internal"
region = "eu-central-1"
access_key_id = { env = "KEY_ID" }
secret_access_key = { env = "PASSWORD" }
session_token = { file = "/run/token" }
digest = "${DIGEST}"`,
    python: `s3("s3://code/flows", name="own", endpoint="https://s3.internal", region="eu-central-1", access_key_id={"env": "KEY_ID"}, secret_access_key={"env": "PASSWORD"}, session_token={"file": "/run/token"}, digest="${DIGEST}")`,
  },
  archive: {
    every: {
      kind: "archive",
      name: "own",
      url: "https://files.internal/flows",
      username: "robot",
      password,
      token,
      push: true,
      digest: DIGEST,
    },
    typescript: archive("https://files.internal/flows", {
      name: "own",
      username: "robot",
      password,
      token,
      push: true,
      digest: DIGEST,
    }),
    toml: `archive = "https://files.internal/flows"
username = "robot"
password = { env = "PASSWORD" }
token = { file = "/run/token" }
push = true
digest = "${DIGEST}"`,
    python: `archive("https://files.internal/flows", name="own", username="robot", password={"env": "PASSWORD"}, token={"file": "/run/token"}, push=True, digest="${DIGEST}")`,
  },
  npm: {
    every: {
      kind: "npm",
      name: "own",
      url: "https://npm.internal",
      package: "@data/flows",
      token,
      username: "robot",
      password,
    },
    typescript: npm("https://npm.internal", {
      name: "own",
      package: "@data/flows",
      token,
      username: "robot",
      password,
    }),
    toml: `npm = "https://npm.internal"
package = "@data/flows"
username = "robot"
password = { env = "PASSWORD" }
token = { file = "/run/token" }`,
    python: `npm("https://npm.internal", package="@data/flows", name="own", username="robot", password={"env": "PASSWORD"}, token={"file": "/run/token"})`,
  },
  git: {
    every: {
      kind: "git",
      name: "own",
      url: "ssh://git@git.internal/data/flows.git",
      username: "robot",
      password,
      link: "https://git.internal/data/flows/commit/{commit}",
    },
    typescript: git("ssh://git@git.internal/data/flows.git", {
      name: "own",
      username: "robot",
      password,
      link: "https://git.internal/data/flows/commit/{commit}",
    }),
    toml: `git = "ssh://git@git.internal/data/flows.git"
username = "robot"
password = { env = "PASSWORD" }
link = "https://git.internal/data/flows/commit/{commit}"`,
    python: `git("ssh://git@git.internal/data/flows.git", name="own", username="robot", password={"env": "PASSWORD"}, link="https://git.internal/data/flows/commit/{commit}")`,
  },
};
/** The kinds that a signed version may pin. */
const kinds = CodePin.options.map(({ shape }) => shape.kind.value);

const project = { project: "training", pool: "local" };
const read = (file: string, registry: unknown) =>
  projectOf({ ...project, registry, deployments: { say: { command: ["echo"] } } } as Table, {
    root: "/",
    file,
    prefix: "",
  }).registry;

describe.each(kinds)("code registries of the kind %s", (kind) => {
  test("are the same in towpath.config.ts and in [tool.towpath], with all their fields", () => {
    const { every, typescript, toml } = KINDS[kind];
    expect(typescript).toEqual(every);
    const deployments = [deployment({ name: "say", command: ["echo"] })];
    expect(defineConfig({ ...project, registry: typescript, deployments }).registry).toEqual(every);
    expect(read("pyproject.toml", parse(`${toml}\nname = "own"`))).toEqual(every);
  });

  test("name a misspelt field, and the closest known one", async () => {
    const wrong = { ...parse(KINDS[kind].toml), names: "own" };
    const failure = await caught(Promise.resolve().then(() => read("pyproject.toml", wrong)));
    expect(failure).toMatchObject({
      faults: [{ path: "registry.names", message: 'unknown option; did you mean "name"?' }],
    });
  });
});

describe.skipIf(!hasPython)("code registries in towpath_config.py", () => {
  test("are the same as in towpath.config.ts, with all their fields", () => {
    const list = kinds.map((kind) => KINDS[kind].python).join(", ");
    const program = `import json; from towpath.config import *; print(json.dumps([${list}]))`;
    const { stdout, stderr } = spawnSync("python3", ["-c", program], {
      env: { PATH: process.env.PATH, PYTHONPATH: SDK },
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    const made: unknown[] = JSON.parse(stdout);
    expect(made.map((one) => read("towpath_config.py", one))).toEqual(kinds.map((kind) => KINDS[kind].every));
  });
});
