import { scopeFor } from "../engine/scope.ts";
import { SecretMissing } from "../problem.ts";

/**
 * The value of a secret: on a worker, one that the deployment names; without a worker, the variable
 * `TOWPATH_SECRET_<NAME>`. It never leaves your network: workers redact it in every record.
 * @throws SecretMissing with the next step.
 */
export function secret(name: string): string {
  const found = scopeFor(`secret("${name}")`).run.host.secret(name);
  if ("value" in found) return found.value;
  throw new SecretMissing(name, found.next);
}
