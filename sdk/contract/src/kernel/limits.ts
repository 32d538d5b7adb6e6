/** Every limit of the wire, by name, for messages. */
export const LIMITS = {
  /** JSON body of an ordinary request, bytes. */
  bodyBytes: 1024 * 1024,
  /** Body of a worker's report, bytes. */
  reportBytes: 8 * 1024 * 1024,
  /** A run's parameters as JSON, bytes. */
  parametersBytes: 256 * 1024,
  /**
   * Steps of one check of parameters or an answer against a schema: about one for each pair of a value and a subschema.
   * An ordinary check takes some dozens.
   */
  checkSteps: 500_000,
  /** A signed spec (compact JWS), bytes. */
  specBytes: 512 * 1024,
  /** Tasks in a spec. */
  specTasks: 2000,
  /** A page of a list, rows. */
  pageRows: 200,
  /** Lines in one log record. */
  logLines: 1000,
  /** One log line, bytes of UTF-8. The worker cuts longer ones and marks the cut. */
  logLineBytes: 32 * 1024,
  /** An artifact's inline body, bytes. Larger ones stay in the customer's store. */
  artifactBytes: 32 * 1024,
  /** The body of an artifact or of log lines that stays in the customer's store, bytes before it is sealed. */
  storedBytes: 1_000_000,
  /** Rows of a table whose body is inline. */
  inlineRows: 500,
  /** Rows of a table whose body is in the customer's store. */
  storedRows: 10_000,
  /** Stored bodies that readers of one workspace wait for at once, at one process of the control plane. */
  storedReads: 16,
  /** Reads of stored bodies that a worker answers in a minute. */
  storedReadsPerMinute: 3_000,
  /** The longest that a reader waits for a stored body, milliseconds. */
  storedWaitMs: 20_000,
  /** Artifact keys of one attempt. A key can be reused without limit. */
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
  /** Journals of assignments that never ran: a worker keeps so many. */
  unstartedJournals: 1_000,
  /** One record of the run protocol (a line of NDJSON), bytes. */
  recordBytes: 1024 * 1024,
  /** Runs that one request can create. */
  batchRuns: 10_000,
  /** Body of such a request, bytes. */
  batchBytes: 16 * 1024 * 1024,
  /** Runs that one request can cancel or rerun. */
  bulkRuns: 200,
  /** An answer or an event's payload as JSON, bytes. */
  answerBytes: 32 * 1024,
  /** The JSON Schema of a question's answer, bytes. */
  waitSchemaBytes: 16 * 1024,
  /** All waits of one run, including settled ones. */
  waits: 10_000,
  /** Waits in one suspension. `moreWaits` stands for the rest. */
  suspendedOn: 1000,
  /** Characters of these waits' paths together. */
  suspendedOnChars: 128 * 1024,
  /** Task calls that a failed attempt names as its cause. */
  failedBy: 500,
  /** Task calls that a call names as the producers of its arguments. `more` stands for the rest. */
  upstream: 20,
  /** Characters of these calls' paths together. */
  upstreamChars: 4096,
  /** External jobs of one worker, and in one of its requests. */
  jobs: 2000,
  /** A backend's status text of an external job, characters. */
  jobSaysChars: 200,
  /** Callback tokens of an external job: one for each attempt that wanted to submit it. */
  jobCallbacks: 16,
  /** Body of a backend's callback, bytes. */
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
  /** The lease of an unconfirmed claim. If the start is not confirmed in time, another worker gets the attempt. */
  claimLeaseMs: 15_000,
  /** How often a worker renews. */
  renewIntervalMs: 10_000,
  /** From SIGTERM to SIGKILL. */
  killGraceMs: 10_000,
  /** A flow that waits for no longer than this keeps its process. */
  shortWaitMs: 10_000,
  /** A worker that has not polled for its external jobs for this time loses them to another worker of its pool. */
  jobLeaseMs: 60_000,
  /** How often an external job is polled, unless it says otherwise. */
  pollEveryMs: 30_000,
  /** Cancelling an external job is given up after this time. */
  jobCancelMs: 5 * 60_000,
  /** Under `onDisconnect: continue`: from the end of the lease to *lost*. */
  lostAfterMs: 15 * 60_000,
} as const;
