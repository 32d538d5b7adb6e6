import { LIMITS, type SpecInput } from "@towpath/contract";
import type { Attack } from "../attack.ts";
import {
  compactJws,
  ed25519,
  hmac256,
  honestHeader,
  publicForms,
  strangerKey,
  withFlippedSignature,
  withHeader,
  withPayload,
} from "../forge.ts";
import { REGISTRY, SECRET } from "../ground.ts";
import { notRun, type Stage } from "../stage.ts";
import { broken, type Verdict } from "../verdict.ts";
import type { Wire } from "../wire.ts";

const SPEC = ["claim.assignments[].spec"];

/** What an attack changes in an honest assignment: the signed text, and the fields beside it. */
interface Forged {
  readonly spec: string;
  readonly beside?: Wire;
}

/** An attack by one spec. The code that must not run leaves the attack's name as its marker. */
function bySpec(
  name: string,
  tries: string,
  forge: (stage: Stage, marker: string) => Forged | Promise<Forged>,
  fields: readonly string[] = SPEC,
): Attack {
  const play = async (stage: Stage): Promise<Verdict> => {
    const { spec, beside = {} } = await forge(stage, name);
    return notRun(await stage.give(stage.assignment(spec, { deployment: name, ...beside }), name));
  };
  return { name, group: "specs", tries, fields, play };
}

/** An attack that is tried in several forms. Each must hold. */
function bySpecs(
  name: string,
  tries: string,
  forge: (stage: Stage, marker: string) => readonly string[],
): Attack {
  const play = async (stage: Stage): Promise<Verdict> => {
    let verdict = broken("nothing was tried");
    for (const spec of forge(stage, name)) {
      verdict = notRun(await stage.give(stage.assignment(spec, { deployment: name }), name));
      if (!verdict.held) return verdict;
    }
    return verdict;
  };
  return { name, group: "specs", tries, fields: SPEC, play };
}

/** An attack that changes one field of a signed spec. `signed` is what the field was when it was signed. */
function byField(
  field: keyof SpecInput,
  args: {
    tries: string;
    signed?: (stage: Stage) => unknown;
    forged: (stage: Stage, marker: string) => unknown;
  },
): Attack {
  const name = `altered-${field.toLowerCase()}`;
  return bySpec(name, args.tries, (stage, marker) => {
    const honest = stage.spec(marker);
    const signed = args.signed === undefined ? honest : { ...honest, [field]: args.signed(stage) };
    return { spec: withPayload(stage.sign(signed), { ...honest, [field]: args.forged(stage, marker) }) };
  });
}

/** A signed header with more fields, over a payload of the stranger. */
function byStranger(stage: Stage, marker: string, header: (jwk: object) => object): string {
  const { key, jwk } = strangerKey();
  return compactJws(
    { ...honestHeader(stage.ground.key.kid), ...header(jwk) },
    stage.spec(marker),
    ed25519(key),
  );
}

const PAST = "2020-01-01T00:00:00.000Z";

const ALTERED = [
  byField("entry", {
    tries: "Changes the command in a signed spec",
    signed: () => ({ kind: "command", argv: ["true"] }),
    forged: (stage, marker) => stage.spec(marker).entry,
  }),
  byField("code", {
    tries: "Changes the digest of the code in a signed spec",
    signed: () => ({ kind: "oci-layout", registry: REGISTRY, digest: `sha256:${"0".repeat(64)}` }),
    forged: (stage, marker) => stage.spec(marker).code,
  }),
  byField("env", { tries: "Adds a variable to a signed spec", forged: () => ({ LIAR: "1" }) }),
  byField("secrets", {
    tries: "Adds a secret to a signed spec",
    forged: () => [{ name: SECRET, env: "LIAR" }],
  }),
  byField("mayStart", { tries: "Adds deployments to mayStart in a signed spec", forged: () => ["payroll"] }),
  byField("pools", {
    tries: "Adds this worker's pool to a signed spec",
    signed: () => ["towpath-attack-elsewhere"],
    forged: (stage) => [stage.ground.pool],
  }),
  byField("parameters", { tries: "Widens the parameters' schema in a signed spec", forged: () => ({}) }),
  byField("expiresAt", {
    tries: "Removes the expiry of a signed spec",
    signed: () => PAST,
    forged: () => null,
  }),
  byField("floor", { tries: "Lowers the floor in a signed spec", signed: () => 2, forged: () => 1 }),
  byField("workspaceId", {
    tries: "Moves a signed spec to this workspace",
    signed: (stage) => stage.liar.id(),
    forged: (stage) => stage.ground.workspaceId,
  }),
  bySpec("signature", "Changes one bit of the signature", (stage, marker) => ({
    spec: withFlippedSignature(stage.sign(stage.spec(marker))),
  })),
  bySpec("unsigned", "Sends a spec without a signature", (stage, marker) => ({
    spec: compactJws(honestHeader(stage.ground.key.kid), stage.spec(marker), () => Buffer.alloc(0)),
  })),
  bySpec("empty-signature", "Sends a signature of zeros", (stage, marker) => ({
    spec: compactJws(honestHeader(stage.ground.key.kid), stage.spec(marker), () => Buffer.alloc(64)),
  })),
];

const HEADERS = [
  bySpecs("alg-none", "Says alg: none, in four spellings", (stage, marker) =>
    ["none", "None", "NONE", "nOnE"].flatMap((alg) => {
      const header = { ...honestHeader(stage.ground.key.kid), alg };
      return [Buffer.alloc(0), Buffer.from("x")].map((bytes) =>
        compactJws(header, stage.spec(marker), () => bytes),
      );
    }),
  ),
  bySpecs(
    "alg-hs256",
    "Signs with HS256, and takes each form of the public key for the secret",
    (stage, marker) =>
      [stage.ground.key, ...stage.ground.trusted].flatMap((key) =>
        publicForms(key).map((form) =>
          compactJws({ ...honestHeader(key.kid), alg: "HS256" }, stage.spec(marker), hmac256(form)),
        ),
      ),
  ),
  bySpecs(
    "alg-others",
    "Says ES256, RS256, Ed448 or no algorithm over an Ed25519 signature",
    (stage, marker) =>
      ["ES256", "RS256", "PS256", "Ed448", "eddsa", "", null, 7, ["EdDSA"]].map((alg) =>
        stage.sign(stage.spec(marker), { alg }),
      ),
  ),
  bySpecs(
    "kid-unknown",
    "Signs with a key that no worker knows, under a name of its own",
    (stage, marker) => {
      const { key } = strangerKey();
      return [{ kid: "liar" }, { kid: "" }, { kid: null }, {}].map((over) =>
        compactJws({ ...honestHeader("liar"), ...over }, stage.spec(marker), ed25519(key)),
      );
    },
  ),
  bySpecs("kid-of-another", "Signs with its own key under the name of each trusted key", (stage, marker) =>
    [stage.ground.key, ...stage.ground.trusted].map(({ kid }) =>
      compactJws(honestHeader(kid), stage.spec(marker), ed25519(strangerKey().key)),
    ),
  ),
  bySpecs("kid-tricks", "Names keys by paths, by properties of objects and by SQL", (stage, marker) => {
    const { key } = strangerKey();
    const kids = [
      "../../../dev/null",
      "/dev/null",
      "__proto__",
      "constructor",
      "toString",
      "x' or '1'='1",
      "\u0000",
    ];
    return kids.map((kid) => compactJws(honestHeader(kid), stage.spec(marker), ed25519(key)));
  }),
  bySpecs("kid-list", "Gives the kid as a list or an object", (stage, marker) => {
    const { key } = strangerKey();
    const { kid } = stage.ground.key;
    return [[kid], { kid }, 0].map((one) =>
      compactJws({ ...honestHeader(kid), kid: one }, stage.spec(marker), ed25519(key)),
    );
  }),
  bySpecs("typ", "Signs with the right key, as another type of document", (stage, marker) =>
    ["JWT", "towpath-spec", "TOWPATH-SPEC+JWS", "application/towpath-spec+jws", null].map((typ) =>
      stage.sign(stage.spec(marker), { typ }),
    ),
  ),
  bySpecs("crit", "Names header fields that a worker must understand and does not", (stage, marker) => [
    stage.sign(stage.spec(marker), { crit: ["liar"], liar: true }),
    withHeader(stage.sign(stage.spec(marker)), {
      ...honestHeader(stage.ground.key.kid),
      crit: ["liar"],
      liar: 1,
    }),
  ]),
  bySpecs("b64-false", "Says that the payload is not encoded (b64: false)", (stage, marker) => {
    const header = { ...honestHeader(stage.ground.key.kid), b64: false, crit: ["b64"] };
    return [
      stage.sign(stage.spec(marker), { b64: false, crit: ["b64"] }),
      withHeader(stage.sign(stage.spec(marker)), header),
    ];
  }),
];

/** Headers that bring a key along. The worker must not even ask for it. */
const BROUGHT: Attack = {
  name: "key-in-header",
  group: "specs",
  tries: "Brings its own key in the header: jwk, or addresses in jku and x5u",
  fields: SPEC,
  async play(stage) {
    const url = `${stage.liar.url}/keys.json`;
    const headers = [
      (jwk: object) => ({ jwk }),
      (jwk: object) => ({ jwk, kid: "liar" }),
      () => ({ jku: url, kid: "liar" }),
      () => ({ x5u: url }),
      () => ({ x5c: ["bGlhcg=="] }),
    ];
    let verdict = broken("nothing was tried");
    for (const header of headers) {
      const spec = byStranger(stage, BROUGHT.name, header);
      verdict = notRun(await stage.give(stage.assignment(spec, { deployment: BROUGHT.name }), BROUGHT.name));
      if (!verdict.held) return verdict;
    }
    return stage.liar.strays.some((one) => one.includes("keys.json"))
      ? broken("the worker asked the liar for the key")
      : verdict;
  },
};

/** Specs that are signed rightly, and must still not run here. */
const MISPLACED = [
  bySpec("foreign-workspace", "Sends a spec that was signed for another workspace", (stage, marker) => ({
    spec: stage.sign(stage.spec(marker, { workspaceId: stage.liar.id() })),
  })),
  bySpec("wrong-pool", "Sends a spec that was signed for other pools", (stage, marker) => ({
    spec: stage.sign(stage.spec(marker, { pools: ["towpath-attack-elsewhere"] })),
  })),
  bySpec(
    "wrong-deployment",
    "Runs a signed spec under the name of another deployment",
    (stage, marker) => ({
      spec: stage.sign(stage.spec(marker, { deployment: "payroll" })),
    }),
    ["claim.assignments[].deployment", ...SPEC],
  ),
  bySpec(
    "wrong-stage",
    "Runs a spec of a test stage as production",
    (stage, marker) => ({
      spec: stage.sign(stage.spec(marker, { stage: "test" })),
      beside: { deployment: `${marker}@prod` },
    }),
    ["claim.assignments[].deployment", ...SPEC],
  ),
  bySpec(
    "wrong-version",
    "Runs a signed spec as another version",
    (stage, marker) => ({ spec: stage.sign(stage.spec(marker, { version: 7 })), beside: { version: 8 } }),
    ["claim.assignments[].version", ...SPEC],
  ),
  bySpec("expired", "Runs a spec that has expired", (stage, marker) => ({
    spec: stage.sign(stage.spec(marker, { expiresAt: PAST })),
  })),
  bySpec("below-own-floor", "Runs a version below the floor that it says itself", (stage, marker) => ({
    spec: stage.sign(stage.spec(marker, { floor: 2 })),
  })),
  bySpecs(
    "registry-name",
    "Names a code registry that is not in the configuration, a property of objects, or a registry of another kind",
    (stage, marker) => {
      const { code } = stage.spec(marker);
      const names = ["towpath-attack-none", "constructor", "__proto__", "tostring", "hasownproperty"];
      return [...names.map((registry) => ({ ...code, registry })), { ...code, kind: "archive" }].map(
        (other) => stage.sign({ ...stage.spec(marker), code: other }),
      );
    },
  ),
  bySpecs(
    "spec-shape",
    "Sends signed documents that are no spec: more fields, other formats, paths out of the code",
    (stage, marker) => {
      const spec = stage.spec(marker);
      const flow = { kind: "flow", module: "../../canary.mjs", export: "main" };
      const documents = [
        { ...spec, hostPath: "/" },
        { ...spec, format: 2 },
        { ...spec, entry: flow },
        { ...spec, entry: { kind: "python", module: "../x.py", function: "main" } },
        { ...spec, env: { "LD_PRELOAD=x": "y" } },
        { ...spec, code: { kind: "git", registry: REGISTRY, digest: "--upload-pack=id" } },
        { ...spec, pools: [] },
        [spec],
        "not json",
        `${JSON.stringify(spec)} trailing`,
      ];
      return documents.map((document) => stage.sign(document));
    },
  ),
];

/** An older version is replayed after a newer one has raised the floor. */
const REPLAYED: Attack = {
  name: "replayed-version",
  group: "specs",
  tries: "Runs version 3 after version 5 with floor 5, also after a restart of the worker",
  fields: ["claim.assignments[].version", ...SPEC],
  isAlone: true,
  async play(stage) {
    const { name } = REPLAYED;
    const signed = (version: number, floor: number, marker: string) =>
      stage.sign({ ...stage.spec(marker), deployment: name, version, floor });
    const give = (spec: string, version: number, marker: string) =>
      stage.give(stage.assignment(spec, { deployment: name, version }), marker);
    const newer = await give(signed(5, 5, `${name}-newer`), 5, `${name}-newer`);
    if (!newer.ran) return broken(`the newer version did not run, so nothing was tried: ${newer.why}`);
    const at = notRun(await give(signed(3, 1, name), 3, name));
    if (!at.held) return at;
    await stage.stopWorker();
    await stage.startWorker();
    return notRun(await give(signed(3, 1, name), 3, name));
  },
};

const LONG: Attack = bySpec("spec-size", "Sends a spec above the size limit", (stage, marker) => ({
  spec: stage.sign(stage.spec(marker, { env: { PAD: "x".repeat(LIMITS.specBytes) } })),
}));

/** Attacks by the signed spec of an assignment. */
export const SPEC_ATTACKS: readonly Attack[] = [
  ...ALTERED,
  ...HEADERS,
  BROUGHT,
  ...MISPLACED,
  LONG,
  REPLAYED,
];
