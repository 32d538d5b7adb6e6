import {
  asSealed,
  compactOf,
  Deployment,
  type ExpectedPlace,
  isSealed,
  type Json,
  type Keyring,
  LIMITS,
  type MarkedValue,
  Me,
  markedValues,
  openKeyring,
  Problem,
  ROUTES,
  type Route,
  type RouteName,
  SealError,
  saysNothing,
  sealedHeaderOf,
  withReplaced,
} from "@towpath/contract";
import type { Compiled } from "@towpath/contract/schema";
import type { LooseInput } from "../loose-input.ts";
import { placeInAnswer } from "./answer.ts";
import { type PlainCall, type Sealer, type SealingOptions, sealedNotice } from "./options.ts";
import { placeInRequest } from "./request.ts";

const NAMES = new Map<Route, RouteName>(
  (Object.keys(ROUTES) as RouteName[]).map((name) => [ROUTES[name], name]),
);

/** The next step for somebody without a key. */
const WITHOUT_KEY =
  "give the workspace key with TOWPATH_WORKSPACE_KEY, or store it with `towpath workspace add-key`";

/** Values that are opened at a time. */
const AT_ONCE = 64;

/** The schema of a deployment's parameters. */
interface ParametersSchema {
  readonly compiled: Compiled;
  /** Whether its deployer sealed it. */
  readonly isSealed: boolean;
}

/** The schemas that one request needs, by deployment: a request may create very many runs. */
type Schemas = Map<string, Promise<ParametersSchema>>;

/** Makes the sealer of one client. */
export function createSealer(options: SealingOptions, call: PlainCall): Sealer {
  let ring: Promise<Keyring | null> | undefined;
  let workspace: Promise<string> | undefined;
  const deployments = new Map<string, Promise<string>>();
  const openRing = async () => {
    const [first, ...others] = typeof options.keys === "function" ? await options.keys() : options.keys;
    return first === undefined ? null : await openKeyring([first, ...others]);
  };
  const keyring = () => {
    ring ??= openRing();
    ring.catch(() => {
      ring = undefined;
    });
    return ring;
  };
  const workspaceId = () => {
    workspace ??=
      options.workspace === undefined
        ? call("getMe", {}).then((me) => Me.parse(me).workspace.id)
        : Promise.resolve(options.workspace);
    workspace.catch(() => {
      workspace = undefined;
    });
    return workspace;
  };
  let isKnownSealed = false;
  // Asked again until it is sealed: a worker compares plain keys until then.
  const isSealedWorkspace = async () => {
    isKnownSealed ||= Me.parse(await call("getMe", {})).workspace.sealed;
    return isKnownSealed;
  };
  const deploymentOf = async (runId: string) => {
    const known =
      deployments.get(runId) ??
      call("getRun", { params: { runId } }).then((run) => String(Object(run).deployment));
    deployments.set(runId, known);
    known.catch(() => deployments.delete(runId));
    return await known;
  };

  async function sealed(
    ring: Keyring,
    args: { name: RouteName; input: LooseInput; marked: MarkedValue; schemas: Schemas },
  ) {
    const { marked, name, input } = args;
    const place = await placeInRequest(name, input, { marked, deploymentOf });
    const { field, form, value } = marked;
    // An empty answer can approve something. Workers believe only sealed ones.
    const isEmpty = saysNothing(value) && field !== "answer";
    if (place === null || isEmpty || isSealed(value)) return [];
    const { deployment, origin, fingerprintOf, keyPurpose } = place;
    if (field === "key") {
      if (keyPurpose === undefined || !(await isSealedWorkspace())) return [];
      return [
        { path: marked.path, value: await ring.keyCode(keyPurpose(await workspaceId()), String(value)) },
      ];
    }
    if (field === "parameters") await checkParameters(args, { deployment, ring });
    const text = form === "text" ? String(value) : JSON.stringify(value);
    const compact = await ring.seal(
      { workspace: await workspaceId(), deployment, field, origin },
      text,
      fingerprintOf === undefined ? {} : { fingerprintOf },
    );
    return [{ path: marked.path, value: asSealed(compact, { field, form }) }];
  }

  /** The schema of a deployment's parameters, and whether its deployer sealed it. */
  async function schemaOf(deployment: string, ring: Keyring): Promise<ParametersSchema> {
    const found = Deployment.pick({ parameters: true }).parse(
      await call("getDeployment", { params: { name: deployment } }),
    );
    const compact = compactOf(found.parameters);
    const schema: unknown =
      compact === null
        ? found.parameters
        : JSON.parse(
            await ring.unseal(compact, {
              workspace: await workspaceId(),
              field: "schema",
              deployments: [deployment],
              origins: ["deployment"],
            }),
          );
    const { Compiled } = await import("@towpath/contract/schema");
    return { compiled: new Compiled(Object(schema)), isSealed: compact !== null };
  }

  /** The control plane cannot check sealed parameters, so this client does before it seals them. */
  async function checkParameters(
    { marked, schemas }: { marked: MarkedValue; schemas: Schemas },
    { deployment, ring }: { deployment: string; ring: Keyring },
  ): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify(marked.value)).length;
    if (bytes > LIMITS.parametersBytes)
      throw new Problem(
        "payload-too-large",
        `The parameters are ${bytes} bytes; the limit is ${LIMITS.parametersBytes}.`,
      );
    const known = schemas.get(deployment) ?? schemaOf(deployment, ring);
    schemas.set(deployment, known);
    const { compiled, isSealed: isTrusted } = await known;
    const { checkValue } = await import("@towpath/contract/schema");
    // Only a schema that its deployer sealed is trusted with regular expressions: those of another may never end.
    const allowed = { steps: LIMITS.checkSteps, patterns: isTrusted };
    const checked = checkValue(compiled, {
      ...allowed,
      value: jsonOf(marked),
      root: "parameters",
    });
    const faults = checked.faults ?? [];
    const [fault] = faults;
    if (fault !== undefined)
      throw new Problem(
        "invalid-parameters",
        `Deployment "${deployment}" refuses ${fault.path}: ${fault.message}.`,
        {
          faults,
        },
      );
  }

  async function opened(args: { answer: unknown; input: LooseInput; marked: MarkedValue }): Promise<unknown> {
    const { marked } = args;
    const ring = await keyring();
    const header = sealedHeaderOf(marked.value);
    const compact = compactOf(marked.value);
    if (header === null || compact === null) return marked.value;
    if (ring === null) return noticeFor(marked, options.withoutKey ?? WITHOUT_KEY);
    try {
      const expected: ExpectedPlace | null = placeInAnswer(args.answer, {
        ...args,
        workspace: await workspaceId(),
        header,
      });
      if (expected === null) return noticeFor(marked, "it is not known to what this value belongs");
      const text = await ring.unseal(compact, expected);
      return marked.form === "text" ? text : JSON.parse(text);
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      return noticeFor(marked, error.message);
    }
  }

  return {
    async request(route, input) {
      const ring = await keyring();
      const name = NAMES.get(route);
      if (ring === null || name === undefined || route.body === undefined) return input;
      const replacements = [];
      const schemas: Schemas = new Map();
      for (const marked of markedValues(route.body, input.body))
        replacements.push(...(await sealed(ring, { name, input, marked, schemas })));
      return replacements.length === 0 ? input : { ...input, body: withReplaced(input.body, replacements) };
    },
    async answer(route, { input, value }) {
      if (typeof route.answer === "string") return value;
      const sealedValues = markedValues(route.answer, value, "output").filter((one) => isSealed(one.value));
      const replacements: { path: MarkedValue["path"]; value: unknown }[] = [];
      for (let from = 0; from < sealedValues.length; from += AT_ONCE)
        replacements.push(
          ...(await Promise.all(
            sealedValues.slice(from, from + AT_ONCE).map(async (marked) => ({
              path: marked.path,
              value: await opened({ answer: value, input, marked }),
            })),
          )),
        );
      return withReplaced(value, replacements);
    },
  };
}

/** Casts a marked value to JSON. It is a part of a request, which is sent as JSON. */
function jsonOf({ value }: MarkedValue): Json {
  return value as Json;
}

/** A value of the field's own form that says why the real one is not shown. */
function noticeFor({ field, form }: MarkedValue, why: string): unknown {
  const text = sealedNotice(why);
  if (form === "text") return text;
  return field === "artifact" ? { kind: "markdown", text } : { sealed: text };
}
