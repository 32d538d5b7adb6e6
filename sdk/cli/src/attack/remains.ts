import { DEFAULTS, LIMITS } from "@towpath/contract";

/** Something that a control plane can still do, and what limits it. */
export interface Remaining {
  readonly can: string;
  readonly limit: string;
}

/** What the attacked worker said of itself. */
export interface WorkerFacts {
  readonly capacity: number;
}

/** What no signature can prevent, with the numbers that the worker enforces. */
export function remaining({ capacity }: WorkerFacts): readonly Remaining[] {
  return [
    {
      can: "Withhold or delay runs, answers and cancellations",
      limit: `none. A deployment with onDisconnect: stop ends its process when its lease ends; an honest lease is ${DEFAULTS.leaseMs / 1000} s`,
    },
    {
      can: "Run signed code again, or at another time",
      limit: `${capacity} runs at once (capacity); only versions from the floor on that have not expired`,
    },
    {
      can: "Choose the parameters of a run",
      limit: `the signed schema, ${LIMITS.parametersBytes / 1024} KiB, and ${LIMITS.checkSteps.toLocaleString("en")} steps of checking`,
    },
    {
      can: "Cancel a run, or take it away from the worker",
      limit: "the signed kill grace (killGraceMs)",
    },
    {
      can: "Keep the worker busy with answers",
      limit: `10 renewals, 2 polls, 2 questions about jobs and 1 session a second; ${LIMITS.attempts} attempts held; 64 MiB in one answer`,
    },
    {
      can: "Send runs that the worker refuses, again and again",
      limit:
        "a version's runs are given back unlooked at for up to 60 s after `refusalsInRow` refusals (5 unless the configuration says otherwise), and others go on; 100 assignments a second that never run, after 500 at once",
    },
    {
      can: "Fill the worker's disk with assignments that it refuses",
      limit: `the newest ${LIMITS.unstartedJournals.toLocaleString("en")} journals of assignments that never ran; 1 GiB of journals`,
    },
    {
      can: "Withhold an earlier result, or send an older one of the same task. The task then runs again, or gets that result",
      limit: "results that the worker signed for this deployment, chain of reruns, path, input and code",
    },
    {
      can: "Say that an external job has failed, or has completed without a result. Of a job with a callback, also give any small result",
      limit:
        "a polled job has exactly the result that a worker signed for it; in a sealed workspace no callback gives a result",
    },
    {
      can: "Ask a worker that has a workspace key for stored bodies of runs",
      limit: `sealed files that the worker's own key opens for the run that is asked about; ${LIMITS.storedReadsPerMinute.toLocaleString("en")} reads a minute`,
    },
    {
      can: "Start a run as if a person had, with any ref as a parameter",
      limit:
        "refs of the workspace; it cannot invent one. A run that a flow starts gets exactly the refs of that flow",
    },
    {
      can: "Read what DATA.md lists, and answer the questions of a flow like a person",
      limit: "secrets of the worker are redacted; answers must fit the question's schema",
    },
  ];
}
