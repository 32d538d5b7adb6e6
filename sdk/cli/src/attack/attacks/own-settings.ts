import type { SpecInput } from "@towpath/contract";
import { generateSigningKey, type SigningKey } from "../../identity/signing-key.ts";
import type { Attack } from "../attack.ts";
import { compactJws, ed25519, honestHeader, privateKeyOf } from "../forge.ts";
import { FLOORED, LEAST_VERSION, recordSignature, SIGNED_BY_TWO, trustKeys } from "../own-trust.ts";
import { notRun, type Stage } from "../stage.ts";
import { broken, held, type Verdict } from "../verdict.ts";

/** An attack that a setting of the worker's own must stop. */
function onSetting(
  name: string,
  args: { tries: string; fields?: readonly string[]; play: (stage: Stage) => Promise<Verdict> },
): Attack {
  const { tries, fields = ["claim.assignments[].spec"], play } = args;
  return { name, group: "settings", tries, fields, isAlone: true, play };
}

/** Gives the worker a signed spec as a run of its deployment. */
async function give(stage: Stage, args: { jws: string; spec: SpecInput; marker: string }) {
  const { deployment, version } = args.spec;
  return await stage.give(stage.assignment(args.jws, { deployment, version }), args.marker);
}

/** Tries specs that must be refused, then an honest one. */
async function refusedThenRun(
  stage: Stage,
  args: { refused: readonly (() => Promise<string>)[]; honest: () => Promise<string>; spec: SpecInput },
): Promise<Verdict> {
  const { spec } = args;
  const marker = spec.deployment;
  let verdict = broken("nothing was tried");
  for (const [index, make] of args.refused.entries()) {
    verdict = notRun(await give(stage, { jws: await make(), spec, marker }));
    if (!verdict.held) return broken(`${verdict.why} in form ${index + 1}`);
  }
  const last = await give(stage, { jws: await args.honest(), spec, marker });
  return last.ran ? verdict : broken(`an honest spec was refused, so nothing was tried: ${last.why}`);
}

/** The spec, signed by another key than that of the test. */
function signedBy(spec: SpecInput, key: SigningKey): string {
  return compactJws(honestHeader(key.kid), spec, ed25519(privateKeyOf(key)));
}

const WORKSPACE = onSetting("named-workspace", {
  tries: "Names another workspace for the worker's key, so that signed specs of that workspace could run",
  fields: ["openSession.workspaceId"],
  async play(stage) {
    const { liar } = stage;
    const other = liar.id();
    liar.habits.set("openSession", { body: (honest) => ({ ...honest, workspaceId: other }) });
    await stage.stopWorker();
    const polls = liar.count("claim");
    const started = await stage.startWorker().then(
      () => true,
      () => false,
    );
    liar.habits.delete("openSession");
    if (started || liar.count("claim") > polls)
      return broken("the worker asked for work of another workspace");
    const log = await stage.log();
    await stage.startWorker();
    return log.includes(other)
      ? held("the worker takes no work, and its log names both workspaces")
      : broken("the worker ended, and its log does not say why");
  },
});

const FLOOR = onSetting(FLOORED, {
  tries:
    "Runs an old version below the floor in the worker's configuration, on a worker that has seen no floor",
  fields: ["claim.assignments[].version", "claim.assignments[].spec"],
  async play(stage) {
    const { verdict, honest } = await versions(stage);
    return honest.ran
      ? verdict
      : broken(`an honest version was refused, so nothing was tried: ${honest.why}`);
  },
});

async function versions(stage: Stage) {
  const tried = async (version: number) => {
    const spec = stage.spec(FLOORED, { version });
    const jws = stage.sign(spec);
    await stage.record(jws);
    return await give(stage, { jws, spec, marker: FLOORED });
  };
  const verdict = notRun(await tried(LEAST_VERSION - 1));
  return { verdict, honest: await tried(LEAST_VERSION) };
}

const LEDGER = onSetting("not-in-ledger", {
  tries:
    "Runs rightly signed specs that have no line in the ledger, or the line of another spec, deployment or version",
  async play(stage) {
    const spec = stage.spec(LEDGER.name);
    const recorded = async (over: Partial<SpecInput>) => {
      await stage.record(stage.sign({ ...spec, ...over }));
      return stage.sign(spec);
    };
    return await refusedThenRun(stage, {
      spec,
      refused: [
        () => recorded({ deployment: "not-in-ledger-other" }),
        () => recorded({ version: 2 }),
        () => recorded({ stage: "test" }),
        () => recorded({ env: { OTHER: "1" } }),
        () => recorded({ workspaceId: stage.liar.id() }),
      ],
      honest: () => recorded({}),
    });
  },
});

const SIGNATURES = onSetting(SIGNED_BY_TWO, {
  tries:
    "Runs a spec with one of two signatures; with a second one of the same person, of a stranger, of a revoked key, or on another spec",
  async play(stage) {
    const [second, revoked, stranger] = [
      await generateSigningKey(),
      await generateSigningKey(),
      await generateSigningKey(),
    ];
    const { key: first } = stage.ground;
    // The same person under another name.
    const again = { ...first, kid: "another-name" };
    const revokedAt = new Date(stage.deps.clock.nowMs() - 1_000).toISOString();
    await trustKeys(stage, [
      [second, {}],
      [again, {}],
      [revoked, { revokedAt }],
    ]);
    const spec = stage.spec(SIGNED_BY_TWO);
    const jws = stage.sign(spec);
    await stage.record(jws);
    const by = async (key: SigningKey, of = jws) => {
      await recordSignature(stage, { jws: of, key });
      return jws;
    };
    const other = async () => {
      const changed = stage.sign({ ...spec, env: { OTHER: "1" } });
      await stage.record(changed);
      return await by(second, changed);
    };
    return await refusedThenRun(stage, {
      spec,
      refused: [
        async () => jws,
        () => by(first),
        () => by(again),
        () => by(stranger),
        () => by(revoked),
        other,
      ],
      honest: () => by(second),
    });
  },
});

const KEYS = onSetting("unusable-keys", {
  tries:
    "Runs specs of keys that were revoked, have ended or are not valid yet, and one that ran before its key was revoked",
  async play(stage) {
    const at = (ms: number) => new Date(stage.deps.clock.nowMs() + ms).toISOString();
    const day = 24 * 3_600_000;
    const [revoked, ended, early, good] = [
      await generateSigningKey(),
      await generateSigningKey(),
      await generateSigningKey(),
      await generateSigningKey(),
    ];
    const unusable = [
      [revoked, { revokedAt: at(-day) }],
      [ended, { notAfter: at(-1_000) }],
      [early, { notBefore: at(day) }],
    ] as const;
    await trustKeys(stage, [...unusable, [good, {}]]);
    const spec = stage.spec(KEYS.name);
    const recorded = async (key: SigningKey) => {
      const jws = signedBy(spec, key);
      await stage.record(jws);
      return jws;
    };
    const before = await refusedThenRun(stage, {
      spec,
      refused: [() => recorded(revoked), () => recorded(ended), () => recorded(early)],
      honest: () => recorded(good),
    });
    if (!before.held) return before;
    await trustKeys(stage, [...unusable, [good, { revokedAt: at(-1_000) }]]);
    const after = await give(stage, { jws: signedBy(spec, good), spec, marker: KEYS.name });
    return after.outcome === "refused"
      ? before
      : broken(`a spec ran again after its key was revoked: ${after.outcome}`);
  },
});

/** Attacks that the worker's own settings must stop, whatever the control plane says. */
export const OWN_SETTINGS_ATTACKS: readonly Attack[] = [WORKSPACE, FLOOR, LEDGER, SIGNATURES, KEYS];
