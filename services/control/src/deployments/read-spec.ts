import { type Fault, isSealed, Problem, retryFaults, SPEC_TYP, Spec } from "@towpath/contract";
import { z } from "zod";
import { faultsOf, textFault } from "../kernel/index.ts";
import { schemaFaults } from "./schema-faults.ts";

const Header = z.looseObject({
  alg: z.literal("EdDSA"),
  typ: z.literal(SPEC_TYP),
  kid: z.string().min(1).max(200),
  crit: z.undefined("is not valid").optional(),
});

/** A decoded spec. The control plane does not trust it: only workers know whose keys count. */
export interface ReadSpec {
  readonly jws: string;
  readonly keyId: string;
  readonly spec: Spec;
}

function refused(faults: readonly Fault[]): Problem {
  const fields = [...new Set(faults.map((fault) => fault.path))].slice(0, 5).join(", ");
  return new Problem("invalid-spec", `Correct these fields: ${fields}.`, { faults: faults.slice(0, 20) });
}

function decode(part: string, path: string): unknown {
  try {
    const bytes = Buffer.from(part, "base64url");
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw refused([{ path, message: "is not a JSON document in base64url" }]);
  }
}

/** Faults that the schema cannot express. */
function meaningFaults(spec: Spec, args: { workspaceId: string; nowMs: number }): Fault[] {
  const faults: Fault[] = [];
  if (spec.workspaceId !== args.workspaceId)
    faults.push({ path: "workspaceId", message: "is not the workspace of the key that registers the spec" });
  if (spec.floor > spec.version)
    faults.push({ path: "floor", message: "is above the version, so no worker would run it" });
  if (spec.expiresAt !== null && Date.parse(spec.expiresAt) <= args.nowMs)
    faults.push({ path: "expiresAt", message: "has passed, so no worker would run it" });
  if (new Set(spec.pools).size < spec.pools.length)
    faults.push({ path: "pools", message: "names a pool twice" });
  return [
    ...faults,
    ...retryFaults(spec.retry),
    ...(isSealed(spec.parameters) ? [] : schemaFaults(spec.parameters, "parameters")),
  ];
}

/**
 * Decodes a compact JWS whose payload is a spec. It does not check the signature: workers do, against their own keys.
 * @throws Problem `invalid-spec` with a fault per field.
 */
export function readSpec(jws: string, args: { workspaceId: string; nowMs: number }): ReadSpec {
  const [head = "", body = ""] = jws.split(".");
  const header = Header.safeParse(decode(head, "header"));
  if (!header.success)
    throw refused(
      faultsOf(Header, header.error, "header").map((fault) => ({
        ...fault,
        path: fault.path === "header" ? "header" : `header.${fault.path}`,
      })),
    );
  const payload = decode(body, "spec");
  const unstorable = textFault(payload);
  if (unstorable !== null) throw refused([unstorable]);
  const spec = Spec.safeParse(payload);
  if (!spec.success) throw refused(faultsOf(Spec, spec.error, "spec"));
  const faults = meaningFaults(spec.data, args);
  if (faults.length > 0) throw refused(faults);
  return { jws, keyId: header.data.kid, spec: spec.data };
}

const SignedParameters = z.object({ parameters: Spec.shape.parameters });

/**
 * The schema of the parameters as it was signed, with its fields in their order. The column `spec` does not keep the order.
 * @param jws A registered spec.
 */
export function signedParameters(jws: string): Spec["parameters"] {
  return SignedParameters.parse(decode(jws.split(".")[1] ?? "", "spec")).parameters;
}
