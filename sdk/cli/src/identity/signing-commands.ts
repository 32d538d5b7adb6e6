import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import { resolve } from "node:path";
import { keyFault, type TrustedKey } from "@towpath/contract";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { type StateFolder, writeWhole } from "../kernel/state-folder.ts";
import type { Output } from "../output.ts";
import {
  createSigningKey,
  generateSigningKey,
  publicHalf,
  readSigningKey,
  type SigningKey,
} from "./signing-key.ts";
import { changed, trustedIn, withKey, writeTrusted } from "./trust-file.ts";

const DAY_MS = 24 * 3_600_000;

/** `towpath key signing create`. Never replaces a key, because workers trust it. */
export async function createSigning(invocation: Invocation): Promise<void> {
  const { output } = invocation;
  const folder = await invocation.folder();
  const present = await readSigningKey(folder.signingKeyFile);
  if (present !== null)
    throw new Failure(`A signing key exists already: ${folder.signingKeyFile} (${present.kid}).`, {
      exit: "cannotWrite",
      code: "exists",
      next: ["`towpath key signing rotate` replaces it in two steps, while workers accept both"],
    });
  const key = await createSigningKey(folder);
  output.data(publicHalf(key));
  output.line(`${output.style.green("✓")} signing key ${output.style.bold(key.kid)}`);
  output.line(`  private  ${folder.signingKeyFile} (needed to deploy; keep it secret)`);
  output.line(`  public   ${folder.signingPublicFile}`);
  output.next('add the public file to the configuration of your workers: `"trustedKeys": [{"file": "…"}]`');
}

const STATES = { revoked: "revoked", "not-yet": "not valid yet", "no-longer": "no longer valid" } as const;

function printTrusted(
  output: Output,
  args: { keys: readonly TrustedKey[]; nowMs: number; inUse: string | null },
) {
  const { keys, nowMs, inUse } = args;
  output.table(
    ["KEY", "STATE", "VALID FROM", "VALID UNTIL", ""],
    keys.map((key) => {
      const fault = keyFault(key, nowMs);
      const state = fault === null ? output.style.green("trusted") : output.style.yellow(STATES[fault]);
      return [key.kid, state, key.notBefore ?? "", key.notAfter ?? "", key.kid === inUse ? "signs" : ""];
    }),
  );
}

/** `towpath key signing show` */
export async function showSigning(invocation: Invocation): Promise<void> {
  const { output, clock, config } = invocation;
  const folder = await invocation.folder();
  const path = config.signingKeyFile ?? folder.signingKeyFile;
  const key = await readSigningKey(path);
  const next = await readSigningKey(folder.signingNextFile);
  const keys = await trustedIn(folder.trustFile);
  const inUse = key?.kid ?? null;
  output.data({
    file: path,
    key: key && publicHalf(key),
    command: key !== null && "command" in key ? key.command : null,
    next: next && publicHalf(next),
    trusted: keys,
  });
  if (key === null) output.line(`There is no signing key at ${path}.`);
  else {
    output.line(`${output.style.bold(key.kid)} signs, from ${path}`);
    if ("command" in key) output.line(`  by the command ${key.command.join(" ")}`);
  }
  if (next !== null) output.line(`${next.kid} follows: \`towpath key signing rotate --finish\``);
  if (keys.length > 0) {
    output.line();
    output.line(`Keys for workers, in ${folder.trustFile}:`);
    printTrusted(output, { keys, nowMs: clock.nowMs(), inUse });
  }
  if (key === null) output.next("`towpath key signing create` creates one");
}

/** The arguments of `towpath key signing rotate`. */
export interface RotateRequest {
  readonly finish: boolean;
  readonly overlapDays: number;
  /** The file of the next key, if it is kept outside of the state folder. */
  readonly next: string | undefined;
  readonly trustFile: string | undefined;
}

/** The files of one rotation. */
interface Rotation {
  readonly oldFile: string;
  readonly nextFile: string;
  readonly trustFile: string;
  /** The state folder, if it has both keys. Null: the next key is kept elsewhere. */
  readonly folder: StateFolder | null;
}

/** @throws Failure if the key that signs is kept elsewhere, and the next one is not named. */
async function rotationOf(invocation: Invocation, request: RotateRequest): Promise<Rotation> {
  const { cwd, config } = invocation;
  const folder = await invocation.folder();
  const trustFile = request.trustFile === undefined ? folder.trustFile : resolve(cwd, request.trustFile);
  const oldFile = config.signingKeyFile ?? folder.signingKeyFile;
  if (request.next !== undefined)
    return { oldFile, nextFile: resolve(cwd, request.next), trustFile, folder: null };
  if (config.signingKeyFile === undefined)
    return { oldFile, nextFile: folder.signingNextFile, trustFile, folder };
  throw new Failure(
    "TOWPATH_SIGNING_KEY_FILE names the key that signs, which is kept outside of the state folder.",
    {
      exit: "usage",
      next: [
        "name the file of the next key: `towpath key signing rotate --next FILE`",
        "for a key service, the file has the public half and the command that signs; else the command creates a private key there",
      ],
    },
  );
}

/** @throws Failure if there is none. */
async function oldKey({ oldFile }: Rotation): Promise<SigningKey> {
  const key = await readSigningKey(oldFile);
  if (key !== null) return key;
  throw new Failure(`There is no signing key at ${oldFile}.`, {
    exit: "configuration",
    code: "no-signing-key",
    next: ["create one with `towpath key signing create`"],
  });
}

function checkOther(old: SigningKey, next: SigningKey): void {
  if (old.kid !== next.kid) return;
  throw new Failure(`The key ${next.kid} signs already.`, {
    exit: "invalidInput",
    code: "no-rotation",
    next: [
      "`--next` names the file of another key than TOWPATH_SIGNING_KEY_FILE: until the rotation is finished, the old key signs",
    ],
  });
}

async function beginRotation(invocation: Invocation, rotation: Rotation): Promise<void> {
  const { output, clock } = invocation;
  const { nextFile, trustFile, folder } = rotation;
  const key = await oldKey(rotation);
  const found = await readSigningKey(nextFile);
  const next = found ?? (await generateSigningKey());
  checkOther(key, next);
  if (found === null) await writeWhole(nextFile, `${JSON.stringify(next, null, 2)}\n`, 0o600);
  const keys = withKey(withKey(await trustedIn(trustFile), key), next);
  await writeTrusted(trustFile, keys);
  output.data({ key: publicHalf(key), next: publicHalf(next), trustFile });
  output.line(`${output.style.green("✓")} the next signing key is ${output.style.bold(next.kid)}`);
  if (folder === null) output.line(`  ${found === null ? "created" : "read from"} ${nextFile}`);
  printTrusted(output, { keys, nowMs: clock.nowMs(), inUse: key.kid });
  output.next(
    `give ${trustFile} to your workers in place of the public key: \`"trustedKeys": [{"file": "signing.trust.json"}]\``,
  );
  const named = folder === null ? ` --next ${nextFile}` : "";
  output.next(`then let the next key sign: \`towpath key signing rotate --finish${named}\``);
}

async function finishRotation(invocation: Invocation, args: { rotation: Rotation; overlapDays: number }) {
  const { output, clock } = invocation;
  const { rotation, overlapDays } = args;
  const { folder, nextFile, trustFile } = rotation;
  const old = await oldKey(rotation);
  const next = await readSigningKey(nextFile);
  if (next === null)
    throw new Failure("No rotation has begun.", {
      exit: "invalidInput",
      code: "no-rotation",
      next: ["`towpath key signing rotate` creates the next key; give it to your workers first"],
    });
  checkOther(old, next);
  const notAfter = new Date(clock.nowMs() + overlapDays * DAY_MS).toISOString();
  const both = withKey(withKey(await trustedIn(trustFile), old), next);
  const keys = changed(both, { kid: old.kid, file: trustFile, change: { notAfter } });
  await writeTrusted(trustFile, keys);
  if (folder !== null) {
    await writeWhole(folder.signingPublicFile, `${JSON.stringify(publicHalf(next), null, 2)}\n`);
    // The last step: until here, a repeated command does all of it again.
    await rename(folder.signingNextFile, folder.signingKeyFile);
  }
  output.data({ key: publicHalf(next), previous: publicHalf(old), notAfter, trustFile });
  output.line(
    `${output.style.green("✓")} ${output.style.bold(next.kid)} signs; the key before it counts until ${notAfter}`,
  );
  printTrusted(output, { keys, nowMs: clock.nowMs(), inUse: next.kid });
  if (folder === null) output.next(`let TOWPATH_SIGNING_KEY_FILE name ${nextFile} wherever you deploy`);
  output.next("sign what is deployed again with the new key: `towpath deploy --renew`");
  output.next(`give ${trustFile} to your workers once more, so that the old key ends`);
}

/** `towpath key signing rotate [--finish] [--next FILE]` */
export async function rotateSigning(invocation: Invocation, request: RotateRequest): Promise<void> {
  const rotation = await rotationOf(invocation, request);
  if (request.finish) await finishRotation(invocation, { rotation, overlapDays: request.overlapDays });
  else await beginRotation(invocation, rotation);
}

/** `towpath key signing revoke KEY` */
export async function revokeSigning(
  invocation: Invocation,
  options: { kid: string; trustFile: string | undefined },
): Promise<void> {
  const { output, clock, cwd } = invocation;
  const folder = await invocation.folder();
  const file = options.trustFile === undefined ? folder.trustFile : resolve(cwd, options.trustFile);
  if (options.trustFile !== undefined && !existsSync(file))
    throw new Failure(`There is no file ${file}.`, {
      exit: "notFound",
      next: ["check the path after --trust-file"],
    });
  const own = options.trustFile === undefined ? await readSigningKey(folder.signingKeyFile) : null;
  const before = await trustedIn(file);
  const keys = own === null ? before : withKey(before, own);
  const revokedAt = new Date(clock.nowMs()).toISOString();
  const after = changed(keys, { kid: options.kid, file, change: { revokedAt } });
  await writeTrusted(file, after);
  output.data({ revoked: options.kid, trustFile: file });
  output.line(`${output.style.green("✓")} revoked ${options.kid} in ${file}`);
  printTrusted(output, { keys: after, nowMs: clock.nowMs(), inUse: own?.kid ?? null });
  output.next("give this file to your workers: they refuse every spec of this key, without a restart");
  output.next("sign what should still run with another key: `towpath deploy`");
}
