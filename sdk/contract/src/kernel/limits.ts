/** Every limit of the wire, by name, so that a refusal can say which one was met. */
export const LIMITS = {
  /** JSON body of an ordinary request, bytes. */
  bodyBytes: 1024 * 1024,
  /** Body of a worker's report, bytes. */
  reportBytes: 8 * 1024 * 1024,
  /** A run's parameters as JSON, bytes. */
  parametersBytes: 256 * 1024,
  /**
   * Steps of one check of parameters or an answer against a schema: about one for each pair of a value and a subschema
   * that meet. An ordinary check takes some dozens.
   */
  checkSteps: 500_000,
  /** A signed spec (compact JWS), bytes. */
  specBytes: 512 * 1024,
  /** Tasks whose code's versions a spec names. */
  specTasks: 2000,
  /** A page of a list, rows. */
  pageRows: 200,
  /** Lines in one log record. */
  logLines: 1000,
  /** One log line, bytes of UTF-8; longer ones are cut by the worker, which says so in the line. */
  logLineBytes: 32 * 1024,
  /** An artifact's body that travels inline, bytes; larger ones stay in the customer's store. */
  artifactBytes: 32 * 1024,
  /** Artifacts that one attempt may show: their keys. A key may be used again as often as one likes. */
  artifactKeys: 1000,
  /** An error's stack, characters. */
  errorStackChars: 16 * 1024,
  /** An error's or reason's message, characters. */
  messageChars: 4096,
  /** Records of one lane in one report for one attempt. */
  laneRecords: 1000,
  /** Records in one report, of all attempts and both lanes. */
  reportRecords: 10_000,
  /** Attempts in one report, renew or claim. */
  attempts: 500,
  /** One record of the run protocol (a line of NDJSON), bytes. */
  recordBytes: 1024 * 1024,
  /** Runs that one request may ask for. */
  batchRuns: 10_000,
  /** Body of such a request, bytes. */
  batchBytes: 16 * 1024 * 1024,
  /** Runs that one request may cancel or run again. */
  bulkRuns: 200,
  /** What somebody answers, or an event brings, as JSON, bytes. */
  answerBytes: 32 * 1024,
  /** The JSON Schema of a question's answer, bytes. */
  waitSchemaBytes: 16 * 1024,
  /** What one run may ever wait for: its waits, settled ones included. */
  waits: 10_000,
  /** Waits that one suspension names; beyond it `moreWaits` stands for the rest. */
  suspendedOn: 1000,
  /** Characters that the paths of these waits may have together. */
  suspendedOnChars: 128 * 1024,
  /** Entries of what a failed attempt names as the calls that it failed by. */
  failedBy: 500,
  /** External jobs that one worker tends at once, and that one request of it names. */
  jobs: 2000,
  /** What a backend says of an external job, characters. */
  jobSaysChars: 200,
  /** Tokens with which an external job may be ended: one for each attempt that wanted to submit it. */
  jobCallbacks: 16,
  /** Body of a backend's call how its job ended, bytes. */
  callbackBytes: 40 * 1024,
  /** The longest a worker waits for changes of external jobs, milliseconds. */
  jobsWaitMs: 20_000,
  /** Tags on a run. */
  tags: 32,
  /** The longest a claim waits for work, milliseconds. */
  claimWaitMs: 25_000,
} as const;

/** Server-side intervals that the contract promises, milliseconds. */
export const DEFAULTS = {
  /** The lease of a running attempt, unless its deployment says otherwise. */
  leaseMs: 30_000,
  /** The lease of an unconfirmed claim: confirm the start within it, or the attempt is given away. */
  claimLeaseMs: 15_000,
  /** How often a worker renews. */
  renewIntervalMs: 10_000,
  /** From SIGTERM to SIGKILL. */
  killGraceMs: 10_000,
  /** A flow that waits for no longer than this keeps its process. */
  shortWaitMs: 10_000,
  /** A worker that has not asked about its external jobs for so long loses them to another of its pool. */
  jobLeaseMs: 60_000,
  /** How often an external job is polled, unless it says otherwise. */
  pollEveryMs: 30_000,
  /** So long after cancelling an external job was first wanted, it is left alone. */
  jobCancelMs: 5 * 60_000,
  /** Under `onDisconnect: continue`: from the end of the lease to *lost*. */
  lostAfterMs: 15 * 60_000,
} as const;
