import { access } from "node:fs/promises";
import { join } from "node:path";
import { LIMITS } from "@towpath/contract";
import type { Attack } from "../attack.ts";
import { notRun, type Outcome, type Stage } from "../stage.ts";
import { broken, held, type Verdict } from "../verdict.ts";
import type { Wire } from "../wire.ts";

const HERE = "claim.assignments[]";

/** An attack by fields beside an honest spec. Several forms are tried in turn. */
function byFields(
  name: string,
  args: {
    tries: string;
    fields: readonly string[];
    forms: (stage: Stage) => readonly Wire[];
    /** Changes the signed spec. */
    signed?: object;
    judge?: (outcome: Outcome, stage: Stage) => Verdict | Promise<Verdict>;
  },
): Attack {
  const play = async (stage: Stage): Promise<Verdict> => {
    let verdict = broken("nothing was tried");
    const spec = stage.sign({ ...stage.spec(name), ...args.signed });
    for (const form of args.forms(stage)) {
      const outcome = await stage.give(stage.assignment(spec, { deployment: name, ...form }), name);
      verdict = await (args.judge ?? notRun)(outcome, stage);
      if (!verdict.held) return verdict;
    }
    return verdict;
  };
  return { name, group: "assignments", tries: args.tries, fields: args.fields, play };
}

/** The code may run, but only as it was signed. */
function asSigned(name: string): (outcome: Outcome, stage: Stage) => Promise<Verdict> {
  return async (outcome, stage) => {
    const seen = await stage.seen(name);
    const signed = JSON.stringify([name, stage.ground.canaries]);
    const other = seen.find(({ argv, env }) => JSON.stringify(argv) !== signed || Object.hasOwn(env, "LIAR"));
    if (other !== undefined)
      return broken(`the code saw ${JSON.stringify(other.argv)} or the liar's variable`);
    return held(outcome.ran ? "the code ran as it was signed, without the fields" : outcome.why);
  };
}

const EVIL = "$(touch liar); --help ../../x";
const ANYTHING = { type: "object" } as const;
const BAD_NUMBERS = [-1, 1.5, "60000", null, true, 1e308, 2 ** 60];

const BESIDE = byFields("beside-fields", {
  tries: "Puts a command, variables, code, secrets and pools beside the signed spec",
  fields: [`${HERE}.*`],
  forms: (stage) => [
    {
      env: { LIAR: "1" },
      argv: ["true"],
      command: ["true"],
      entry: { kind: "command", argv: ["true"] },
      code: { kind: "oci-layout", registry: "liar", digest: `sha256:${"0".repeat(64)}` },
      secrets: [{ name: "towpath-attack-secret", env: "LIAR" }],
      pools: [stage.ground.pool],
      mayStart: ["payroll"],
      image: "liar",
      workspaceId: stage.liar.id(),
    },
  ],
  judge: asSigned("beside-fields"),
});

const PARAMETERS = [
  byFields("parameters-schema", {
    tries: "Sends parameters that the signed schema does not allow",
    fields: [`${HERE}.parameters`],
    forms: () =>
      [{ size: "large" }, { size: 1.5 }, { sizes: 1 }, { size: null }].map((parameters) => ({ parameters })),
  }),
  byFields("parameters-size", {
    tries: `Sends ${LIMITS.parametersBytes / 1024} KiB of parameters and more`,
    fields: [`${HERE}.parameters`],
    signed: { parameters: ANYTHING },
    forms: () => [{ parameters: { pad: "x".repeat(LIMITS.parametersBytes) } }],
  }),
  byFields("parameters-shape", {
    tries: "Sends parameters that are no object, or nest 100 levels deep",
    fields: [`${HERE}.parameters`],
    signed: { parameters: ANYTHING },
    forms: () => {
      const deep = JSON.parse(`${"[".repeat(100)}${"]".repeat(100)}`);
      return [[], "text", 7, null, { deep }].map((parameters) => ({ parameters }));
    },
  }),
  byFields("parameters-words", {
    tries: "Names parameters like variables, and writes shell code and options into them",
    fields: [`${HERE}.parameters`],
    signed: { parameters: ANYTHING },
    forms: () => [
      { parameters: { LIAR: EVIL, PATH: EVIL, LD_PRELOAD: EVIL, "../x": EVIL, NODE_OPTIONS: EVIL } },
    ],
    judge: asSigned("parameters-words"),
  }),
  byFields("schema-bomb", {
    tries: "Sends a value for which a pattern of the signed schema takes years",
    fields: [`${HERE}.parameters`],
    signed: { parameters: { type: "object", properties: { text: { type: "string", pattern: "^(a+)+$" } } } },
    forms: () => [{ parameters: { text: `${"a".repeat(60)}!` } }],
  }),
  byFields("schema-alternatives", {
    tries: "Sends 10,000 values for a signed schema with 4,000 alternatives",
    fields: [`${HERE}.parameters`],
    signed: {
      parameters: {
        type: "object",
        properties: {
          rows: { anyOf: Array.from({ length: 4_000 }, () => ({ items: { type: "integer" } })) },
        },
      },
    },
    forms: () => [{ parameters: { rows: [...Array<number>(10_000).fill(1), "x"] } }],
  }),
];

/** Keys that reach the prototype of an object when they are merged carelessly. They can only be written as text. */
const EVIL_KEYS = '{"__proto__":{"liar":1},"constructor":{"prototype":{"liar":1}},"prototype":{"liar":1}}';

const PROTOTYPE: Attack = {
  name: "parameters-prototype",
  group: "assignments",
  tries: "Names parameters __proto__, constructor and prototype",
  fields: [`${HERE}.parameters`],
  async play(stage) {
    const { name } = PROTOTYPE;
    const spec = stage.sign({ ...stage.spec(name), parameters: ANYTHING });
    // Read from text, `__proto__` is a key like any other, and it is written again.
    const evil: unknown = JSON.parse(EVIL_KEYS);
    await stage.give(stage.assignment(spec, { deployment: name, parameters: evil }), name);
    const next = await stage.give(
      stage.assignment(spec, { deployment: name, parameters: { plain: 1 } }),
      name,
    );
    const last = (await stage.seen(name)).at(-1)?.parameters;
    if (!next.ran) return broken(`a later run of the worker did not run: ${next.why}`);
    return last === '{"plain":1}'
      ? held("a later run saw its own parameters alone")
      : broken(`a later run saw ${last}`);
  },
};

const TRIGGERS = [
  byFields("due-time", {
    tries: "Says that the run is for a schedule, at absurd times, so that its parameters need no check",
    fields: [`${HERE}.trigger.*`, `${HERE}.scheduledAt`],
    forms: (stage) =>
      ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "yesterday", 7, ""].flatMap((at) => {
        const due = { schedule: "nightly", dueAt: at, intervalStart: at };
        const beside = { parameters: { size: "large" }, scheduledAt: at };
        return [
          { ...beside, trigger: { kind: "schedule", ...due } },
          { ...beside, trigger: { kind: "backfill", backfillId: stage.liar.id(), ...due } },
        ];
      }),
  }),
  byFields("remote-task", {
    tries: "Says that the run is one task of the flow, which the signed spec does not allow alone",
    fields: [`${HERE}.trigger.*`],
    signed: { remoteTasks: { allowed: { pools: ["towpath-attack-elsewhere"] } } },
    forms: (stage) =>
      ["train", "constructor", "__proto__", "allowed"].map((name) => ({
        parameters: { size: "large" },
        trigger: {
          kind: "run",
          runId: stage.liar.id(),
          path: name,
          task: { name, input: refOf("file:///etc/passwd"), retries: 0 },
        },
      })),
  }),
  byFields("trigger-shape", {
    tries: "Sends triggers of unknown kinds, with paths for ids and texts above the limits",
    fields: [`${HERE}.trigger.*`],
    forms: (stage) =>
      [
        { kind: "liar" },
        { kind: "person" },
        { kind: "person", name: "x".repeat(1_000) },
        { kind: "run", runId: "../../x", path: "a" },
        { kind: "run", runId: stage.liar.id(), path: "x".repeat(5_000) },
        { kind: "rerun", name: "x", runId: stage.liar.id(), fromFailure: "yes", origin: "x" },
        null,
        [],
      ].map((trigger) => ({ trigger })),
  }),
];

function refOf(uri: string): Wire {
  return { uri, codec: "json", sizeBytes: 2, sha256: "a".repeat(64) };
}

const BAD_IDS = ["../../liar", "/tmp/liar", "liar", "", "..", "a\u0000b", "a\nb", 7, null, {}, "__proto__"];

const IDS: Attack = {
  ...byFields("ids", {
    tries: "Sends paths, control characters and other types for ids of attempts and runs",
    fields: [`${HERE}.attemptId`, `${HERE}.runId`],
    forms: () => BAD_IDS.flatMap((id) => [{ attemptId: id }, { runId: id }]),
    judge: async (outcome, stage) => {
      const folders = [stage.stateDir, stage.ground.folder, join(stage.ground.folder, "..")];
      for (const folder of folders)
        for (const name of ["liar", "liar.1", "liar.1.json"])
          if (await isThere(join(folder, name))) return broken(`the worker made ${join(folder, name)}`);
      return notRun(outcome);
    },
  }),
};

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

const FENCES = byFields("fence-values", {
  tries: "Sends epochs and nonces that are no such values",
  fields: [`${HERE}.epoch`, `${HERE}.nonce`],
  forms: () => [
    ...[0, ...BAD_NUMBERS].map((epoch) => ({ epoch })),
    ...["", "short", "x".repeat(65), 7, null].map((nonce) => ({ nonce })),
  ],
});

const NUMBERS = byFields("numbers", {
  tries: "Sends negative, broken and huge durations, versions and ordinals",
  fields: [`${HERE}.leaseMs`, `${HERE}.endsInMs`, `${HERE}.version`, `${HERE}.ordinal`],
  forms: () =>
    BAD_NUMBERS.flatMap((value) => [
      { leaseMs: value },
      ...(value === null ? [] : [{ endsInMs: value }]),
      ...(value === -1 ? [] : [{ version: value }, { ordinal: value }]),
    ]),
});

const DEPLOYMENTS = byFields("deployment-names", {
  tries: "Sends names of deployments with paths, control characters and escape sequences",
  fields: [`${HERE}.deployment`],
  forms: () =>
    ["../../x", "\u001b]0;liar\u0007", "a\nb", "Churn", "", "a@b@c", "__proto__", 7, "x".repeat(500)].map(
      (deployment) => ({ deployment }),
    ),
});

/** Attacks by an assignment's unsigned fields. */
export const ASSIGNMENT_ATTACKS: readonly Attack[] = [
  BESIDE,
  ...PARAMETERS,
  PROTOTYPE,
  ...TRIGGERS,
  IDS,
  FENCES,
  NUMBERS,
  DEPLOYMENTS,
];
