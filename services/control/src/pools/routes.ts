import type { SliceRoutes } from "../kernel/index.ts";
import type { LoadReader } from "./load.ts";
import { createPool, getPool, listPools, listWorkers } from "./pools.ts";
import { deleteQueue, listQueues, type Reorder, setQueue } from "./queues.ts";
import { FullWorkspaces, openSession } from "./session.ts";

/** The routes of pools. `load` reads loads; `reorder` moves waiting runs. */
export function poolsRoutes({ load, reorder }: { load: LoadReader; reorder: Reorder }): SliceRoutes {
  const full = new FullWorkspaces();
  return (register) => {
    register("createPool", ({ deps, scope, body }) => createPool({ ...deps, load }, { scope, input: body }));
    register("listPools", ({ deps, scope, query }) => listPools({ ...deps, load }, { scope, ...query }));
    register("getPool", ({ deps, scope, params }) => getPool({ ...deps, load }, { scope, ...params }));
    register("listWorkers", ({ deps, scope, params, query }) =>
      listWorkers({ ...deps, load }, { scope, ...params, ...query }),
    );
    register("setQueue", ({ deps, scope, params, body }) =>
      setQueue({ ...deps, load }, { scope, ...params, input: body, reorder }),
    );
    register("listQueues", ({ deps, scope, params }) => listQueues({ ...deps, load }, { scope, ...params }));
    register("deleteQueue", async ({ deps, scope, params }) => {
      await deleteQueue(deps, { scope, ...params });
      return undefined;
    });
    register("openSession", ({ deps, scope, body }) =>
      openSession(deps, { scope, keyPool: scope.keyPool, input: body, full }),
    );
  };
}
