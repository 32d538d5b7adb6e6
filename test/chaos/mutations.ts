/** Where the tests of the control plane open their database: the place to take a constraint out of it. */
const OPENED = {
  file: "services/control/src/deps.fixture.ts",
  from: "const sessionSecret = await openInstallation({ database, clock });",
} as const;

function without<Table extends string>(table: Table) {
  const drop = `await database.sql.unsafe("alter table ${table} drop constraint if exists ${table}_pkey");`;
  return { ...OPENED, to: `${drop}\n  ${OPENED.from}` } as const;
}

/**
 * Pieces of the product's source and their broken replacements. A case or a test must notice each.
 * `mutate.ts` applies them in processes under test, and `mutation.config.ts` in tests.
 */
export const MUTATIONS = {
  /** Reports are accepted with any epoch and nonce. */
  fence: {
    file: "services/control/src/runs/reports/reported.ts",
    from: "const same = sameFence({ attemptId: row.id, epoch: row.epoch, nonce: row.nonce }, fence);",
    to: "const same = true;",
  },
  /** Starts and completions are accepted with any epoch and nonce, from any worker. */
  plainFence: {
    file: "services/control/src/runs/moves/plain.ts",
    from: 'and t.epoch = s.epoch and t.nonce = s.nonce and t.worker_id = s."workerId"',
    to: "",
  },
  /** Leases are renewed with any epoch and nonce, in the database's statement. */
  renewal: {
    file: "services/control/src/runs/lease/store.ts",
    from: 'and exists (select 1 from offered f where f."attemptId" = h.id and f.epoch = h.epoch and f.nonce = h.nonce)',
    to: "",
  },
  /** A claim keeps the epoch and the nonce of the previous claim. */
  claim: {
    file: "services/control/src/runs/moves/claim.ts",
    from: "epoch = c.epoch + 1, nonce = gen_random_uuid()::text",
    to: "epoch = greatest(c.epoch, 1), nonce = coalesce(c.nonce, gen_random_uuid()::text)",
  },
  /** A run that is suspended for something that has already happened stays suspended. */
  overtaken: {
    file: "services/control/src/runs/end/endings.ts",
    from: "suspends: { resumes: settled > 0 },",
    to: "suspends: { resumes: settled > Number.MAX_SAFE_INTEGER },",
  },
  /** A settled wait does not resume its run. */
  resume: {
    file: "services/control/src/runs/waits/resume.ts",
    from: 'runs.filter((one) => one.state === "suspended"),',
    to: "[],",
  },
  /** Two runs may have one id. */
  runKey: without("run_key"),
  /** Two runs may have one idempotency key. */
  idempotencyKey: without("idempotency_key"),
  /** An instant of a schedule may have two runs. */
  instant: without("schedule_instant"),
  /** Equal calls of a task get one identity. */
  identity: {
    file: "sdk/flow/src/task/identity.ts",
    from: "const ordinal = (this.#ordinals.get(segment) ?? 0) + 1;",
    to: "const ordinal = 1;",
  },
  /** A run is created for a key that another run has. */
  keyHolder: {
    file: "services/control/src/runs/create/create.ts",
    from: "if (holder !== request.id) {",
    to: 'if (holder === "") {',
  },
  /** Lines of a later claim count as lines of an earlier one. */
  lines: {
    file: "services/control/src/worker/report/bulk.ts",
    from: "new LineStretch({ base: row.lineBase, nextLine: row.nextLine })",
    to: "new LineStretch({ base: 0, nextLine: row.nextLine })",
  },
  /** Lines that never arrived leave no gap. */
  gaps: {
    file: "services/control/src/worker/report/bulk.ts",
    from: "if (first > this.nextLine) this.#skipTo(first);",
    to: "",
  },
  /** Attempts end without returning their slots. */
  slots: {
    file: "services/control/src/runs/admit/admission.ts",
    from: "if (ended.limited) ask(tx, deps, ended.workspaceId).ended.add(ended.id);",
    to: "",
  },
  /** A request that cannot go blocks the requests of all other wait lists. */
  overtaking: {
    file: "services/control/src/limits/allocate.ts",
    from: "} else cursors.delete(list);",
    to: "} else cursors.clear();",
  },
  /** A run that waits for a limit blocks the runs behind it. */
  slotOvertaking: {
    file: "services/control/src/limits/choose.ts",
    from: "const lacks = lackOf(cells, list, request);",
    to: "const lacks = stuck.length > 0 ? [...list.needs.keys()] : lackOf(cells, list, request);",
  },
  /** No slots are reserved for a run that needs several limits. */
  patience: {
    file: "services/control/src/limits/choose.ts",
    from: "return request.passedMs !== null && nowMs - request.passedMs >= PATIENCE_MS;",
    to: "return request.passedMs !== null && nowMs < 0;",
  },
  /** Two runs with reserved slots may take each other's. */
  keeping: {
    file: "services/control/src/limits/choose.ts",
    from: "if (earlier) return false;",
    to: "",
  },
  /** Limits are locked in any order. */
  lockOrder: {
    file: "services/control/src/limits/store/step.ts",
    from: "order by l.id for update",
    to: "order by random() for update",
  },
  /** Moves lock their runs in any order. */
  moveOrder: {
    file: "services/control/src/runs/moves/apply.ts",
    from: "order by id for update",
    to: "order by id desc for update",
  },
  /** A run that waits for amounts blocks the runs behind it. */
  computeOvertaking: {
    file: "services/control/src/runs/compute/match.ts",
    from: "if (cell === null) {",
    to: "if (cell === null) {\n        for (const one of cells) one.slots = 0;",
  },
  /** Nothing is reserved for a run that needs much of a worker. */
  computePatience: {
    file: "services/control/src/runs/compute/match.ts",
    from: "if (isBig && request.waitedMs >= PATIENCE_MS)",
    to: "if (isBig && request.waitedMs < 0)",
  },
  /** Workers are given amounts that are already in use. */
  amounts: {
    file: "services/control/src/runs/compute/give.ts",
    from: "(free, one) => without(free, readNeeds(one.needs)),",
    to: "(free) => free,",
  },
  /** A device is given out although another run has it. */
  devices: {
    file: "worker/src/compute/amounts.ts",
    from: "return gpus.filter(({ id }) => !used.has(id));",
    to: "return used.size < 0 ? [] : [...gpus];",
  },
  /** A process is not stopped when its lease expires. */
  stop: {
    file: "worker/src/attempts/stop.ts",
    from: 'if (stored.spec.onDisconnect !== "stop") return;',
    to: "return;",
  },
  /** Child processes of a process are left behind. */
  leftovers: {
    file: "worker/src/attempts/supervise.ts",
    from: "const left = await killLeftovers(deps, claimed, { process: args.process, exit });",
    to: "const left: never[] = [];",
  },
  /** Environments and code that were changed after they were made are used. */
  seal: {
    file: "worker/src/code/tree-seal.ts",
    from: 'return noted === found ? "intact" : "changed";',
    to: 'return noted === "" && found === "" ? "changed" : "intact";',
  },
  /** The login of a code registry goes along a redirect to another origin. */
  codeOrigin: {
    file: "sdk/contract/src/deployments/registries/http.ts",
    from: "isOwn &&= url.origin === connections.origin;",
    to: "",
  },
  /** The login of a code registry goes to any token endpoint that the registry names. */
  tokenEndpoint: {
    file: "sdk/contract/src/deployments/registries/oci-login.ts",
    from: "(isGiven || url.origin === this.http.origin)",
    to: '(isGiven || url.origin !== "")',
  },
  /** Code is unpacked whatever its digest. */
  codeDigest: {
    file: "worker/src/code/download.ts",
    from: 'if (hash.digest("hex") !== hex) throw mismatch(expected);',
    to: 'hash.digest("hex");',
  },
  /** A flow gets the keys of pickled values although its author has not allowed pickle. */
  pickleConsent: {
    file: "worker/src/attempts/store-access.ts",
    from: 'entry.codecs?.includes("pickle") === true',
    to: "true",
  },
  /** All deployments sign pickled values with one key. */
  pickleKey: {
    file: "worker/src/attempts/store-access.ts",
    from: '["towpath-pickle", spec.workspaceId, deploymentNameOf(spec)]',
    to: '["towpath-pickle"]',
  },
  /** Keys that can be guessed are used. */
  keyLength: {
    file: "worker/src/attempts/store-access.ts",
    from: "Buffer.byteLength(key) < KEY_BYTES_MIN",
    to: "Buffer.byteLength(key) < 0",
  },
} as const;

/** The name of a mutation. */
export type MutationName = keyof typeof MUTATIONS;

function isMutation(name: string): name is MutationName {
  return Object.hasOwn(MUTATIONS, name);
}

/**
 * Applies a mutation to a source, if it is the mutation's file. Other sources stay as they are.
 * @throws Error if the piece is not in the source: a mutation that changes nothing proves nothing.
 */
export function mutate(name: string, { path, source }: { path: string; source: string }): string {
  if (!isMutation(name)) throw new Error(`There is no mutation ${name}.`);
  const mutation = MUTATIONS[name];
  if (!path.endsWith(mutation.file)) return source;
  if (!source.includes(mutation.from))
    throw new Error(`${mutation.file} no longer has what "${name}" removes.`);
  return source.replace(mutation.from, () => mutation.to);
}
