import { readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { startProcess } from "../harness/process.ts";

const ROOT = new URL("../../", import.meta.url);
const MAIN = fileURLToPath(new URL("sdk/cli/src/main.ts", ROOT));
const HOOK = pathToFileURL(fileURLToPath(new URL("./replace.ts", import.meta.url))).href;

const VERIFY = "worker/src/trust/verify.ts";

/** Guards of a worker, what is left when they are gone, and the attack of `towpath attack` that must then get through. */
const GUARDS: Readonly<Record<string, { file: string; from: string; to: string; attack: string }>> = {
  "the signature of a spec": {
    file: VERIFY,
    from: 'const { payload } = await compactVerify(jws, key, { algorithms: ["EdDSA"] });',
    to: 'await compactVerify(jws, key).catch(() => null);\n    const payload = Buffer.from(jws.split(".")[1] ?? "", "base64url");',
    attack: "altered-entry",
  },
  "the type of the signed document": {
    file: VERIFY,
    from: "header.typ !== SPEC_TYP ||",
    to: "",
    attack: "typ",
  },
  "the workspace of a spec": {
    file: VERIFY,
    from: "spec.workspaceId !== claimed.workspaceId",
    to: 'spec.workspaceId === ""',
    attack: "foreign-workspace",
  },
  "the deployment of a spec": {
    file: VERIFY,
    from: "name !== claimed.deployment",
    to: 'name === ""',
    attack: "wrong-deployment",
  },
  "the version of a spec": {
    file: VERIFY,
    from: "spec.version !== claimed.version",
    to: "spec.version < 0",
    attack: "wrong-version",
  },
  "the pools of a spec": {
    file: VERIFY,
    from: "!pools.includes(trust.pool)",
    to: "pools.length === 0",
    attack: "wrong-pool",
  },
  "the expiry of a spec": {
    file: VERIFY,
    from: "Date.parse(spec.expiresAt) <= trust.clock.nowMs()",
    to: "Date.parse(spec.expiresAt) < 0",
    attack: "expired",
  },
  "the floor of a deployment": {
    file: VERIFY,
    from: "if (spec.version < floor)",
    to: "if (spec.version < 0)",
    attack: "replayed-version",
  },
  "the floors on disk": {
    file: "worker/src/trust/floors.ts",
    from: "new Map(Object.entries(await readFloors(path)))",
    to: "new Map()",
    attack: "replayed-version",
  },
  "the workspace in a worker's configuration": {
    file: "worker/src/worker.ts",
    from: "checkSessionWorkspace(config, session.workspaceId);",
    to: "",
    attack: "named-workspace",
  },
  "the floors in a worker's configuration": {
    file: VERIFY,
    from: "if (spec.version < least)",
    to: "if (spec.version < 0)",
    attack: "configured-floor",
  },
  "the ledger of a worker": {
    file: VERIFY,
    from: "if (ledger !== null && !ledger.has(named))",
    to: "if (ledger !== null && named.version < 0)",
    attack: "not-in-ledger",
  },
  "the spec of a line in the ledger": {
    file: "worker/src/trust/signed-specs.ts",
    from: "version, spec }: LedgerSpec) =>",
    to: 'version }: LedgerSpec, spec = "") =>',
    attack: "not-in-ledger",
  },
  "the hash of a stored body": {
    file: "worker/src/store/stored-bodies.ts",
    from: 'if (sha256(sealed) !== hash) return { fault: "damaged" };',
    to: "",
    attack: "stored-elsewhere",
  },
  "the run of a stored body": {
    file: "worker/src/store/stored-bodies.ts",
    from: "origins: [ORIGINS.run(runId)] });\n    return null;",
    to: 'origins: ["run/"] });\n    return null;',
    attack: "stored-elsewhere",
  },
  "the seal of a stored body": {
    file: "worker/src/store/stored-bodies.ts",
    from: "return fault === null ? { sealed } : { fault };",
    to: 'return fault === null || fault === "damaged" ? { sealed } : { fault };',
    attack: "stored-elsewhere",
  },
  "the pauses between polls for reads": {
    file: "worker/src/protocol/read.ts",
    from: "quickAnswers.heard({ quick, news: reads.length > 0 }) ? QUICK_MS : 0",
    to: "quickAnswers.heard({ quick, news: reads.length > 0 }) ? 0 : 0",
    attack: "stored-flood",
  },
  "the number of signatures": {
    file: VERIFY,
    from: "if (people.size >= needed) return;",
    to: "if (people.size >= 1) return;",
    attack: "missing-signature",
  },
  "the people behind signatures": {
    file: VERIFY,
    from: "known === null ? [] : [known.jwk.x]",
    to: "known === null ? [] : [known.jwk.kid]",
    attack: "missing-signature",
  },
  "the ends of trusted keys": {
    file: "worker/src/trust/keys.ts",
    from: "if (fault === null) return known;",
    to: 'if (fault !== "revoked") return known;',
    attack: "unusable-keys",
  },
  "the revocation of trusted keys": {
    file: "worker/src/trust/keys.ts",
    from: "if (fault === null) return known;",
    to: 'if (fault === null || fault === "revoked") return known;',
    attack: "unusable-keys",
  },
  "the names of code registries": {
    file: VERIFY,
    from: "if (allowed?.kind !== kind)",
    to: "if (registry.length === 0)",
    attack: "registry-name",
  },
  "the tasks that a spec allows alone": {
    file: VERIFY,
    from: "if (signed !== null) return signed.pools;",
    to: "return signed?.pools ?? spec.pools;",
    attack: "withdrawn-task",
  },
  "the schema of parameters": {
    file: VERIFY,
    from: "if (faults.length === 0) return;",
    to: "if (faults.length >= 0) return;",
    attack: "parameters-schema",
  },
  "the size of parameters": {
    file: VERIFY,
    from: "> LIMITS.parametersBytes",
    to: "> Number.MAX_SAFE_INTEGER",
    attack: "parameters-size",
  },
  "the form of ids": {
    file: "sdk/contract/src/kernel/names.ts",
    from: "export const Id = z.uuid().toLowerCase();",
    to: "export const Id = z.string();",
    attack: "ids",
  },
  "the capacity of a worker": {
    file: "worker/src/attempts/attempts.ts",
    from: "else if (this.busy() >= this.#options.capacity)",
    to: "else if (this.busy() < 0)",
    attack: "more-than-free",
  },
  "the pause after answers that come at once": {
    file: "worker/src/protocol/loop.ts",
    from: "this.#inRow > QUICK_MAX",
    to: "this.#inRow < 0",
    attack: "new-commands",
  },
  "the shortest interval of renewals": {
    file: "worker/src/protocol/renew.ts",
    from: "Math.max(INTERVAL_MS.least, answer.intervalMs)",
    to: "answer.intervalMs",
    attack: "renew-interval",
  },
  "the shortest use of a session": {
    file: "worker/src/protocol/connection.ts",
    from: "Math.max(SESSION_LEAST_MS, answer.expiresInMs * (1 - RENEW_PART))",
    to: "answer.expiresInMs * (1 - RENEW_PART)",
    attack: "short-sessions",
  },
  "the largest answer": {
    file: "worker/src/protocol/transport.ts",
    from: "if (bytes > mostBytes)",
    to: "if (bytes < 0)",
    attack: "endless-answer",
  },
  "the limit of journals of assignments that never ran": {
    file: "worker/src/attempts/unstarted-journals.ts",
    from: "this.#names.length > LIMITS.unstartedJournals",
    to: "this.#names.length < 0",
    attack: "refusal-flood",
  },
  "the back-off after refusals": {
    file: "worker/src/attempts/attempts.ts",
    from: "else claimed.giveBack = this.#deps.refusals.reason(assignment);",
    to: "",
    attack: "refused-again",
  },
  "the MAC of a ref": {
    file: "worker/src/store/sign-refs.ts",
    from: "return isOne ? withoutMac",
    to: "return isOne || told.byteLength > 0 ? withoutMac",
    attack: "chosen-results",
  },
  "the MAC of arguments": {
    file: "worker/src/store/sign-refs.ts",
    from: "return isOne ? withoutMac",
    to: "return isOne || told.byteLength > 0 ? withoutMac",
    attack: "chosen-arguments",
  },
  "the owner of a result": {
    file: "worker/src/store/sign-refs.ts",
    from: "const told = [...owner, uri,",
    to: "const told = [owner.length > 0, uri,",
    attack: "chosen-results",
  },
  "the owner of a run's result": {
    file: "worker/src/attempts/attempt-refs.ts",
    from: 'this.#refs.checked(run.result, ["run", run.runId])',
    to: "run.result",
    attack: "chosen-run-results",
  },
  "the job of a handle": {
    file: "worker/src/attempts/attempt-refs.ts",
    from: "handleOf(this.#refs, { deployment, jobId, job: name, handle: job.handle })",
    to: "job.handle",
    attack: "chosen-handles",
  },
  "the owner of a real flow's result": {
    file: "worker/src/store/sign-refs.ts",
    from: "const told = [...owner, uri,",
    to: "const told = [owner[0], uri,",
    attack: "moved-results",
  },
  "the job of a handle that a worker polls": {
    file: "worker/src/attempts/attempt-refs.ts",
    from: "return refs.checked(of.handle, [...owner, of.job]) ?? refs.checked(of.handle, owner);",
    to: 'return { ...of.handle, sha256: of.handle.sha256.slice(0, 32) + "0".repeat(32) };',
    attack: "moved-job-results",
  },
  "the kind of job of a handle": {
    file: "worker/src/attempts/attempt-refs.ts",
    from: "...(name === undefined ? [] : [name])",
    to: "...(name === undefined ? [] : [])",
    attack: "moved-job-results",
  },
  "the job of a result": {
    file: "worker/src/attempts/attempt-refs.ts",
    from: 'this.#refs.checked(data.result, ["job-result", this.#run.deployment, jobId])',
    to: '{ ...data.result, sha256: data.result.sha256.slice(0, 32) + "0".repeat(32) }',
    attack: "moved-job-results",
  },
  "the address in callback URLs": {
    file: "worker/src/attempts/launch-attempt.ts",
    from: "controlPlane: deps.config.url,",
    to: 'controlPlane: "http://127.0.0.1:9",',
    attack: "chosen-addresses",
  },
  "the wait of an answer": {
    file: "worker/src/attempts/attempt-refs.ts",
    from: "if (answer.waitId !== callId)",
    to: 'if (answer.waitId === "")',
    attack: "chosen-handles",
  },
  "the run of a remote task": {
    file: "worker/src/attempts/attempt-refs.ts",
    from: "if (input !== null && (await isChildOf(callId, runId, RETRIES_MAX)))",
    to: "if (input !== null)",
    attack: "chosen-arguments",
  },
  "the owner of a ref in parameters": {
    file: "worker/src/attempts/parameter-refs.ts",
    from: "if (checked !== null) return checked;",
    to: "return withoutMac(ref);",
    attack: "chosen-parameter-refs",
  },
  "the place of a ref in parameters": {
    file: "worker/src/attempts/parameter-refs.ts",
    from: "runId, JSON.stringify(place)];",
    to: "runId, place.slice(0, 0).join()];",
    attack: "chosen-parameter-refs",
  },
  "the trigger of a run that a flow starts": {
    file: "worker/src/attempts/parameter-refs.ts",
    from: " || isDerivedId(runId);",
    to: ";",
    attack: "chosen-parameter-refs",
  },
  "the deployment of a ref in parameters": {
    file: "worker/src/attempts/parameter-refs.ts",
    from: '"parameter", deploymentPartsOf(deployment).deployment,',
    to: '"parameter", deploymentPartsOf(deployment).deployment.slice(0, 0),',
    attack: "chosen-parameter-refs",
  },
  "the seal of parameters": {
    file: "worker/src/sealing/incoming.ts",
    from: "if (!args.sealedOnly || saysNothing(parameters)) return parameters;",
    to: "return parameters;",
    attack: "sealed-parameters",
  },
  "the workspace of a sealed value": {
    file: "sdk/contract/src/sealing/place.ts",
    from: "if (ws !== expected.workspace)",
    to: 'if (ws === "")',
    attack: "sealed-parameters",
  },
  "the field of a sealed value": {
    file: "sdk/contract/src/sealing/place.ts",
    from: "if (fld !== expected.field)",
    to: "if (fld === undefined)",
    attack: "sealed-parameters",
  },
  "the deployment of a sealed value": {
    file: "sdk/contract/src/sealing/place.ts",
    from: "if (deployments !== undefined && !deployments.includes(dep))",
    to: "if (deployments?.length === 0)",
    attack: "sealed-parameters",
  },
  "the run of a sealed value": {
    file: "sdk/contract/src/sealing/place.ts",
    from: "if (!origins.some(",
    to: "if (origins.length === 0 && origins.some(",
    attack: "sealed-parameters",
  },
  "the seal of an answer": {
    file: "worker/src/sealing/incoming.ts",
    from: "if (!sealedOnly || saysNothing(answer)) return answer;",
    to: "return answer;",
    attack: "sealed-events",
  },
  "the seal of an empty answer": {
    file: "worker/src/sealing/incoming.ts",
    from: 'if (asked?.kind === "input" && isForged) throw plainAnswer();',
    to: "",
    attack: "sealed-answers",
  },
  "the seal of a real flow's answer": {
    file: "worker/src/sealing/incoming.ts",
    from: 'if (asked?.kind === "input" && isForged) throw plainAnswer();',
    to: "",
    attack: "sealed-approvals",
  },
  "the kind of wait of an answer": {
    file: "worker/src/sealing/incoming.ts",
    from: 'if (asked?.kind === "job") return openOutcome(opener, answer);',
    to: 'if (asked?.kind === "job" || called.job) return openOutcome({ ...opener, sealedOnly: false }, answer);',
    attack: "sealed-answers",
  },
  "the seal of a listed answer": {
    file: "worker/src/sealing/incoming.ts",
    from: 'header === null ? opener.sealedOnly && wait.state === "satisfied" : header.fld !== "answer";',
    to: 'header !== null && header.fld !== "answer";',
    attack: "sealed-waits",
  },
  "the question of a listed answer": {
    file: "worker/src/sealing/incoming.ts",
    from: "answer: openAnswer(opener, wait.answer, ofQuestion(opener, wait.waitId)) }];",
    to: 'answer: openAnswer(opener, wait.answer, { field: "answer", origins: ["run/"] }) }];',
    attack: "sealed-waits",
  },
  "the characters of a log line": {
    file: "sdk/contract/src/kernel/log-line.ts",
    from: 'return terminalText(text.replaceAll(/[\\p{Cc}\\u2028\\u2029]+/gu, " "));',
    to: "return text;",
    attack: "terminal-escapes",
  },
};

describe.concurrent("without a guard, an attack gets through:", { timeout: 300_000 }, () => {
  test.each(Object.entries(GUARDS))("%s", async (_name, { file, from, to, attack }) => {
    expect(readFileSync(new URL(file, ROOT), "utf8")).toContain(from);
    await using command = startProcess({
      command: process.execPath,
      args: [MAIN, "attack", "--only", attack, "--json"],
      env: {
        ...process.env,
        NODE_OPTIONS: `--import ${HOOK}`,
        REPLACED: JSON.stringify({ file, from, to }),
        NO_COLOR: "1",
      },
    });
    const code = await command.exited;
    const { attacks } = JSON.parse(command.output());
    expect({ code, attacks }).toMatchObject({ code: 1, attacks: [{ name: attack, held: false }, {}] });
  });
});
