import pLimit from "p-limit";
import type { SliceRoutes } from "../kernel/index.ts";
import { downloadLogs } from "./download.ts";
import { getRunFailure } from "./failure.ts";
import { Batches } from "./follow/batch.ts";
import { followWorkspace } from "./follow/feed.ts";
import { followRun } from "./follow/follow.ts";
import { getLogs, listArtifacts } from "./read.ts";
import { deleteRun } from "./remove-run.ts";
import { SEARCHES_AT_ONCE, searchLogs } from "./search.ts";
import { answerRead, pollReads } from "./stored/answer.ts";
import { readStored } from "./stored/read.ts";
import { getLogWindow } from "./window.ts";

/** The routes of logs, and the one that removes a run with its log. Followers of one application share what they read. */
export const logsRoutes: SliceRoutes = (register) => {
  const batches = new Batches();
  const slices = pLimit(SEARCHES_AT_ONCE);
  register("deleteRun", async ({ deps, scope, params }) => {
    await deleteRun(deps, scope, params);
    return undefined;
  });
  register("getLogs", ({ deps, scope, params, query }) => getLogs(deps, scope, { ...params, ...query }));
  register("getRunFailure", ({ deps, scope, params }) => getRunFailure(deps, scope, params));
  register("getLogWindow", ({ deps, scope, params, query }) =>
    getLogWindow(deps, scope, { ...params, ...query }),
  );
  register("searchLogs", ({ deps, scope, params, query, signal }) =>
    searchLogs(deps, scope, { ...params, ...query, signal, slices }),
  );
  register("downloadLogs", ({ deps, scope, params, query }) =>
    downloadLogs(deps, scope, { ...params, ...query }),
  );
  register("listArtifacts", ({ deps, scope, params, query }) =>
    listArtifacts(deps, scope, { ...params, ...query }),
  );
  register("readStored", ({ deps, scope, params, query, signal }) =>
    readStored(deps, scope, { ...params, ...query, signal }),
  );
  register("pollReads", ({ deps, scope, body, signal }) => pollReads(deps, scope, { ...body, signal }));
  register("answerRead", ({ deps, scope, body }) => answerRead(deps, scope, body));
  register("streamRun", ({ deps, scope, params, query, signal, c }) => {
    const lastEventId = c.req.header("last-event-id") ?? null;
    return followRun(deps, scope, { ...params, ...query, lastEventId, signal, batches });
  });
  register("streamChanges", ({ deps, scope, query, signal, c }) => {
    const lastEventId = c.req.header("last-event-id") ?? null;
    return followWorkspace(deps, scope, { ...query, lastEventId, signal, batches });
  });
};
