import { failpoint, type SliceRoutes } from "../kernel/index.ts";
import { claimNext, dispatchersOf, type LooseRecord } from "../runs/index.ts";
import { downloadLogs } from "./download.ts";
import { getRunFailure } from "./failure.ts";
import { Batches } from "./follow/batch.ts";
import { followWorkspace } from "./follow/feed.ts";
import { followRun } from "./follow/follow.ts";
import { getLogs, listArtifacts } from "./read.ts";
import { getReceived } from "./received.ts";
import { ReportLine } from "./report-line.ts";
import { SEARCHES_AT_ONCE, searchLogs } from "./search.ts";
import { Turns } from "./turns.ts";
import { getLogWindow } from "./window.ts";

/** The routes of logs. Followers of one application share what they read, workers their transactions. */
export const logsRoutes: SliceRoutes = (register) => {
  const batches = new Batches();
  const reports = new ReportLine();
  const turns = new Turns(SEARCHES_AT_ONCE);
  const dispatchers = dispatchersOf(register);
  register("getLogs", ({ deps, scope, params, query }) => getLogs(deps, scope, { ...params, ...query }));
  register("getRunFailure", ({ deps, scope, params }) => getRunFailure(deps, scope, params));
  register("getLogWindow", ({ deps, scope, params, query }) =>
    getLogWindow(deps, scope, { ...params, ...query }),
  );
  register("searchLogs", ({ deps, scope, params, query, signal }) =>
    searchLogs(deps, scope, { ...params, ...query, signal, turns }),
  );
  register("downloadLogs", ({ deps, scope, params, query }) =>
    downloadLogs(deps, scope, { ...params, ...query }),
  );
  register("listArtifacts", ({ deps, scope, params, query }) =>
    listArtifacts(deps, scope, { ...params, ...query }),
  );
  register("getReceived", ({ deps, scope, params }) => getReceived(deps, scope, params));
  register("streamRun", ({ deps, scope, params, query, signal, c }) => {
    const lastEventId = c.req.header("last-event-id") ?? null;
    return followRun(deps, scope, { ...params, ...query, lastEventId, signal, batches });
  });
  register("streamChanges", ({ deps, scope, query, signal, c }) => {
    const lastEventId = c.req.header("last-event-id") ?? null;
    return followWorkspace(deps, scope, { ...query, lastEventId, signal, batches });
  });
  register("report", async ({ deps, scope, body }) => {
    const { attempts, next: asked } = body;
    const ending = asked === undefined ? [] : attempts.filter(({ control }) => control.some(isEnd));
    const [answer, next] = await Promise.all([
      reports.report(deps, scope, body),
      asked === undefined ? null : claimNext(deps, { worker: scope, next: asked, ending, dispatchers }),
    ]);
    const ended = answer.attempts.filter(({ status, outcome }) => status === "accepted" && outcome !== null);
    dispatchers.ended(
      scope,
      ended.map(({ attemptId }) => attemptId),
    );
    failpoint("acknowledge");
    return next === null ? answer : { ...answer, next };
  });
};

/** Whether a control record says that its attempt has ended. */
function isEnd({ type }: LooseRecord): boolean {
  return type === "ended";
}
