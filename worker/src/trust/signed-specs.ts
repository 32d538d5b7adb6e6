import type { Ledger } from "@towpath/contract/ledger";

/** A spec as the ledger names it. */
export interface LedgerSpec {
  readonly workspace: string;
  readonly deployment: string;
  readonly version: number;
  /** The SHA-256 of the signed payload, hex. */
  readonly spec: string;
}

/** What the worker looks up in the deployers' ledger. */
export interface SignedSpecs {
  has(spec: LedgerSpec): boolean;
  /** Whether the version has a line with another spec. The line of a version that was deployed a moment ago may still come. */
  hasOther(spec: LedgerSpec): boolean;
  /** Further signatures on a spec: compact JWS with a detached payload. */
  signaturesOf(spec: LedgerSpec): readonly string[];
}

/** The deployers' ledger, which gets new lines while the worker runs. */
export interface LedgerBook {
  /** @throws Refusal `ledger-unavailable` if there is no copy that is new enough. */
  current(): Promise<SignedSpecs>;
  /** For a spec that `current` lacks: what stands there now. @throws Refusal `ledger-unavailable` if it cannot be read. */
  latest(): Promise<SignedSpecs>;
  close(): Promise<void>;
}

const versionOf = ({ workspace, deployment, version }: LedgerSpec) => `${workspace} ${deployment} ${version}`;
const keyOf = ({ workspace, deployment, version, spec }: LedgerSpec) =>
  `${workspace} ${deployment} ${version} ${spec}`;

/** Looks up in a checked ledger. */
export function indexOf(ledger: Ledger): SignedSpecs {
  const specs = new Set(ledger.lines.map(({ entry }) => keyOf(entry)));
  const versions = new Set(ledger.lines.map(({ entry }) => versionOf(entry)));
  const signatures = Map.groupBy(ledger.signatures, keyOf);
  return {
    has: (spec) => specs.has(keyOf(spec)),
    hasOther: (spec) => versions.has(versionOf(spec)) && !specs.has(keyOf(spec)),
    signaturesOf: (spec) => (signatures.get(keyOf(spec)) ?? []).map(({ signature }) => signature),
  };
}
