/**
 * The free texts that stay readable in a sealed workspace: each reason, and the fields by route or record. A test compares this with
 * the schemas, so that a new text needs a decision: `sealable`, or a line here.
 */
export const READABLE_FIELDS: readonly { readonly why: string; readonly fields: readonly string[] }[] = [
  {
    why: "names that people and code give things, by which they find them",
    fields: [
      "setLimit:name",
      "createRun:tags[]",
      "createRuns:runs[].tags[]",
      "setSchedule:tags[]",
      "spec:schedules[].tags[]",
      "spec:tags[]",
      "call:call.requests[].tags[]",
      "call:call.task.name",
      "control record:name",
      "control record:error.name",
      "job change:outcome.error.name",
      "bulk record:key",
      "openSession:name",
      "openSession:registries[]",
    ],
  },
  {
    why: "paths of task calls, which the control plane compares: names, keys and hashes of inputs",
    fields: [
      "call:call.path",
      "call:call.requests[].key",
      "call:call.requests[].inside",
      "call:call.keys[]",
      "control record:path",
      "control record:upstream.paths[]",
      "control record:waits[]",
      "control record:failedBy[]",
      "bulk record:task",
      "bulk record:lines[].task",
    ],
  },
  {
    why: "when something is due",
    fields: ["setSchedule", "previewSchedule", "spec"].flatMap((name) =>
      ["cron", "zone", "rrule"].map(
        (part) => `${name}:${name === "spec" ? "schedules[]." : ""}timing.${part}`,
      ),
    ),
  },
  {
    why: "refs: the place of a value in the customer's store",
    fields: [
      "control record:result.uri",
      "job change:outcome.result.uri",
      "call:call.task.input.uri",
      "call:call.handle.uri",
    ],
  },
  {
    why: "what runs, which the signature covers",
    fields: [
      "spec:entry.argv[]",
      "spec:entry.module",
      "spec:entry.environment.requirements",
      "spec:entry.packages.folder",
      "spec:tasks{}",
      "control record:codeVersion",
      "openSession:version",
    ],
  },
  {
    why: "sentences of the worker itself about its own state, without values of a run",
    fields: [
      "claim:paused.reason",
      "report:next.paused.reason",
      "control record:reason",
      "bulk record:reason",
    ],
  },
  {
    why: "what a person writes about a run that is to be stopped",
    fields: ["cancelRun:reason", "cancelRuns:reason"],
  },
  {
    why: "random values of the protocol, and cursors of our own",
    fields: [
      "claim:held[].nonce",
      "renew:held[].nonce",
      "call:nonce",
      "listCheckpoints:nonce",
      "listCheckpoints:after",
      "report:attempts[].nonce",
      "report:next.held[].nonce",
    ],
  },
  {
    why: "records, whose fields are decided one by one",
    fields: ["report:attempts[].control[]{}", "report:attempts[].bulk[]{}"],
  },
  {
    why: "what a backend without a key says in a callback. A sealed workspace refuses it",
    fields: ["callBack:result", "callBack:error"],
  },
];
