import { scopeFor } from "../engine/scope.ts";
import { SecretMissing } from "../problem.ts";

/**
 * The value of a secret that this run was given: on a worker one that its deployment names and the worker resolves, on
 * a laptop the variable `TOWPATH_SECRET_<NAME>`. Never leaves: workers redact it from every record.
 * @throws SecretMissing with the next step.
 */
export function secret(name: string): string {
  const found = scopeFor(`secret("${name}")`).run.host.secret(name);
  if ("value" in found) return found.value;
  throw new SecretMissing(name, found.next);
}
