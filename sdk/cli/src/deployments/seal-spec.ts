import {
  asSealed,
  compactOf,
  deploymentNameOf,
  isSealed,
  type Keyring,
  type MarkedValue,
  markedValues,
  ORIGINS,
  openKeyring,
  plainValues,
  SealError,
  Spec,
  saysNothing,
  withReplaced,
} from "@towpath/contract";
import { Failure } from "../failure.ts";

/** The keyring of workspace keys. Null: there is none, and specs stay plain. */
export async function keyringOf(keys: readonly string[]): Promise<Keyring | null> {
  const [first, ...others] = keys;
  return first === undefined ? null : await openKeyring([first, ...others]);
}

/** For what a part of a spec is sealed: its schedules' parameters for their runs, the rest for every run of the deployment. */
function originOf(spec: Spec, { path }: MarkedValue): string {
  const [part, index] = path;
  const schedule = part === "schedules" && typeof index === "number" ? spec.schedules[index] : undefined;
  return schedule === undefined ? ORIGINS.deployment : ORIGINS.schedule(schedule.name);
}

/**
 * A spec whose schema, environment variables and schedules' parameters are sealed. The rest is readable. An empty schema is sealed too:
 * the key of the schema also hides the titles of questions in paths.
 */
export async function sealSpec(keyring: Keyring | null, spec: Spec): Promise<Spec> {
  if (keyring === null) return spec;
  const [workspace, deployment] = [spec.workspaceId, deploymentNameOf(spec)];
  const parts = markedValues(Spec, spec).filter(
    ({ field, value }) => !isSealed(value) && (field === "schema" || !saysNothing(value)),
  );
  const sealed = parts.map(async (marked) => {
    const { field, form, value, path } = marked;
    const text = form === "text" ? String(value) : JSON.stringify(value);
    const place = { workspace, deployment, field, origin: originOf(spec, marked) };
    return { path, value: asSealed(await keyring.seal(place, text), { field, form }) };
  });
  return withReplaced(spec, await Promise.all(sealed));
}

/** Whether nothing in a spec would have to be sealed. */
export function isSealedWhole(spec: Spec): boolean {
  return plainValues(Spec, spec).length === 0 && isSealed(spec.parameters);
}

/**
 * An own spec with its sealed parts in plain, to compare it with another.
 * @throws SealError if a key is missing, or a part was moved or changed.
 */
export async function openOwnSpec(keyring: Keyring | null, spec: Spec): Promise<Spec> {
  if (keyring === null) return spec;
  const [workspace, deployment] = [spec.workspaceId, deploymentNameOf(spec)];
  const opened = markedValues(Spec, spec).flatMap((marked) => {
    const compact = compactOf(marked.value);
    if (compact === null) return [];
    const { field, form, path } = marked;
    const expected = { workspace, field, deployments: [deployment], origins: [originOf(spec, marked)] };
    return keyring
      .unseal(compact, expected)
      .then((text) => ({ path, value: form === "text" ? text : JSON.parse(text) }));
  });
  return withReplaced(spec, await Promise.all(opened));
}

/**
 * An own spec that is to be signed again, with its sealed parts in plain. So they can be sealed with the present key: workers may have
 * lost an earlier one.
 * @throws Failure `spec-not-opened` if a key is missing, or a part was moved or changed.
 */
export async function openToSignAgain(keyring: Keyring | null, spec: Spec): Promise<Spec> {
  try {
    return await openOwnSpec(keyring, spec);
  } catch (cause) {
    if (!(cause instanceof SealError)) throw cause;
    throw new Failure(`v${spec.version} of "${deploymentNameOf(spec)}" cannot be opened: ${cause.message}`, {
      exit: "configuration",
      code: "spec-not-opened",
      next: [
        "nothing was signed: add the missing key with `towpath workspace add-key`",
        "or check out the code of that version and run `towpath deploy`",
      ],
      cause,
    });
  }
}
