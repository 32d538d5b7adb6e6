import { failpoint, type SliceRoutes } from "../kernel/index.ts";
import { Batches } from "./follow/batch.ts";
import { followRun } from "./follow/follow.ts";
import { getLogs, listArtifacts } from "./read.ts";
import { getReceived } from "./received.ts";
import { ReportLine } from "./report-line.ts";

/** The routes of logs. Followers of one application share what they read, workers their transactions. */
export const logsRoutes: SliceRoutes = (register) => {
  const batches = new Batches();
  const reports = new ReportLine();
  register("getLogs", ({ deps, scope, params, query }) => getLogs(deps, scope, { ...params, ...query }));
  register("listArtifacts", ({ deps, scope, params, query }) =>
    listArtifacts(deps, scope, { ...params, ...query }),
  );
  register("getReceived", ({ deps, scope, params }) => getReceived(deps, scope, params));
  register("streamRun", ({ deps, scope, params, signal, c }) => {
    const lastEventId = c.req.header("last-event-id") ?? null;
    return followRun(deps, scope, { ...params, lastEventId, signal, batches });
  });
  register("report", async ({ deps, scope, body }) => {
    const answer = await reports.report(deps, scope, body);
    failpoint("acknowledge");
    return answer;
  });
};
