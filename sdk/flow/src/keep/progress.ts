import { instant } from "../clock.ts";
import type { Scope } from "../engine/scope.ts";
import { InvalidDefinition, StoreFault } from "../problem.ts";
import { keptPath } from "../task/identity.ts";

const NAME_CHARS_MAX = 200;

function pathOf(scope: Scope, name: string): string {
  if (typeof name === "string" && name.length >= 1 && name.length <= NAME_CHARS_MAX)
    return keptPath(scope.path, { name, hashes: scope.run.host.store.hashes });
  throw new InvalidDefinition(`ctx.keep needs a name of 1 to ${NAME_CHARS_MAX} characters.`);
}

/**
 * Stores progress of the current task call: see `ctx.keep`.
 * @throws NotSerialisable | StoreFault
 */
export async function keepProgress(
  scope: Scope,
  { name, value }: { name: string; value: unknown },
): Promise<void> {
  const path = pathOf(scope, name);
  const { host, checkpoints, progress } = scope.run;
  if (progress) return await progress.keep(name, value);
  const save = () => checkpoints.keepValue(value, { path: scope.path, name: `keep ${name}` });
  const ref = await (scope.data?.saving(save) ?? save());
  await host.records.postHeld({ type: "kept", at: instant(host.clock), path, result: ref });
  checkpoints.earlier.noteValue(path, ref);
}

/** The latest stored value of a name: see `ctx.kept`. Undefined if it cannot be loaded; the log then warns. */
export async function progressKept(scope: Scope, name: string): Promise<unknown> {
  const { host, checkpoints, progress } = scope.run;
  if (progress) return await progress.kept(name);
  const ref = checkpoints.earlier.valueAt(pathOf(scope, name));
  if (ref === null) return undefined;
  try {
    const load = () => host.store.load(ref);
    return await (scope.data?.loading(ref, load) ?? load());
  } catch (error) {
    if (!(error instanceof StoreFault)) throw error;
    const text = `The progress "${name}" cannot be loaded, so it counts as missing: ${error.message}`;
    const task = scope.path === "" ? {} : { task: scope.path };
    host.records.postLog({ type: "log", at: instant(host.clock), level: "warn", text, ...task });
    return undefined;
  }
}
