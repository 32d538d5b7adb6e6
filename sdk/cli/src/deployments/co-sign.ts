import { resolve } from "node:path";
import type { Spec } from "@towpath/contract";
import { type LedgerEntry, linesOf, payloadHash } from "@towpath/contract/ledger";
import { EXIT, Failure } from "../failure.ts";
import { coSignSpec, readSigned, type SigningKey } from "../identity/signing-key.ts";
import { trustedIn } from "../identity/trust-file.ts";
import { canAsk, confirmed } from "../kernel/confirm.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { type Output, printable } from "../output.ts";
import { signingKeyInUse, workspaceToSign } from "./commands.ts";
import { decodeSpec } from "./decode-spec.ts";
import { findDeployment } from "./find.ts";
import { appendSignature, headText, ledgerFile, readLedger } from "./ledger.ts";
import { shortDigest } from "./short-digest.ts";

/** The arguments of `towpath deployments sign`. */
export interface CoSignRequest {
  readonly name: string;
  readonly version: number;
  readonly project: string;
  /** Does not ask first. */
  readonly yes: boolean;
}

/** The line of a spec in the ledger. @throws Failure `not-in-ledger`: the control plane sent something else. */
function lineOf(lines: readonly LedgerEntry[], args: { name: string; version: number; hash: string | null }) {
  const line = lines.find(({ version, spec }) => version === args.version && spec === args.hash);
  if (line !== undefined) return line;
  const isKnown = lines.some(({ version }) => version === args.version);
  throw new Failure(
    isKnown
      ? `The control plane has another v${args.version} of "${args.name}" than the ledger.`
      : `The ledger has no v${args.version} of "${args.name}".`,
    {
      exit: "invalidInput",
      code: "not-in-ledger",
      next: ["nothing was signed: `git pull` brings the line of the person who deployed it"],
    },
  );
}

function printSpec(output: Output, args: { spec: Spec; line: LedgerEntry; isVerified: boolean }): void {
  const { spec, line, isVerified } = args;
  const { entry } = spec;
  const rows = [
    ["signed by", `${line.keyId}${isVerified ? "" : " (not in your trust file, so it was not verified)"}`],
    ["code", `${spec.code.registry} ${shortDigest(spec.code.digest)}`],
    ["entrypoint", entry.kind === "command" ? entry.argv.join(" ") : entry.module],
    ["pools", spec.pools.join(", ")],
    ["secrets", spec.secrets.map(({ name }) => name).join(", ")],
    ["env", Object.keys(spec.env).join(", ")],
    ["may start", spec.mayStart.join(", ")],
    ["floor", `v${spec.floor}`],
    ["expires", spec.expiresAt ?? "never"],
  ];
  for (const [title = "", text = ""] of rows)
    if (text !== "") output.line(`  ${output.style.dim(title.padEnd(11))} ${printable(text)}`);
}

/** @throws Failure `same-signer` if the own key has signed it already as the first one. */
function checkOther(line: LedgerEntry, key: SigningKey): void {
  if (line.keyId !== key.kid) return;
  throw new Failure(`Your key ${key.kid} has signed v${line.version} of "${line.deployment}" already.`, {
    exit: "invalidInput",
    code: "same-signer",
    next: ["another person adds the second signature, with a key of their own"],
  });
}

/**
 * `towpath deployments sign NAME VERSION`: adds a further signature to a version, as a line of the ledger. The control plane
 * does not get it. Repeating it changes nothing.
 * @returns The exit code.
 */
export async function coSign(invocation: Invocation, request: CoSignRequest): Promise<number> {
  const { output, clock } = invocation;
  const { version } = request;
  const connection = await invocation.connect();
  const { client } = connection;
  const folder = await invocation.folder();
  const key = await signingKeyInUse(invocation, folder);
  const workspace = await workspaceToSign(connection);
  const { name } = await findDeployment(client, request.name);
  const file = ledgerFile(resolve(invocation.cwd, request.project));
  const ledger = await readLedger(file);
  const { spec: jws } = await client.getSpec({ params: { name, version } });
  const hash = payloadHash(jws);
  const line = lineOf(linesOf(ledger, { workspace, deployment: name }), { name, version, hash });
  checkOther(line, key);
  if (ledger.signatures.some(({ spec, keyId }) => spec === hash && keyId === key.kid)) {
    output.line(`Your key has signed v${version} of ${name} already. Nothing was changed.`);
    return EXIT.ok;
  }
  const spec = decodeSpec(jws);
  const isVerified = (await readSigned(jws, ...(await trustedIn(folder.trustFile)))) !== null;
  output.line(`${output.style.bold(name)} v${version}`);
  printSpec(output, { spec, line, isVerified });
  if (!(await isConfirmed(invocation, { ...request, name }))) {
    output.line("Nothing was signed.");
    return EXIT.interrupted;
  }
  const head = await appendSignature(file, {
    kind: "signature",
    deployment: name,
    workspace,
    version,
    spec: line.spec,
    signature: await coSignSpec(jws, key),
    keyId: key.kid,
    at: new Date(clock.nowMs()).toISOString(),
  });
  output.data({ deployment: name, version, keyId: key.kid, ledger: { file, heads: [head] } });
  output.line(`${output.style.green("✓")} signed v${version} of ${name} with ${key.kid}`);
  output.next(`commit the ledger, head ${headText([head])}: workers read your signature from it`);
  return EXIT.ok;
}

async function isConfirmed(invocation: Invocation, { name, version, yes }: CoSignRequest): Promise<boolean> {
  if (yes) return true;
  if (canAsk(invocation)) return await confirmed(invocation, `Sign v${version} of ${name}?`);
  throw new Failure(`Nothing was signed: v${version} of ${name} would get your signature.`, {
    exit: "usage",
    code: "not-confirmed",
    next: ["add --yes to sign without a question"],
  });
}
