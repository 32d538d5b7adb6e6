import type { SliceRoutes } from "../kernel/index.ts";
import { deleteQueue } from "./queues.ts";
import { closeSession, FullWorkspaces, openSession } from "./session.ts";

/** The routes of pools that concern no run. The others are in the slice of runs. */
export const poolsRoutes: SliceRoutes = (register) => {
  const full = new FullWorkspaces();
  register("deleteQueue", async ({ deps, scope, params }) => {
    await deleteQueue(deps, { scope, ...params });
    return undefined;
  });
  register("openSession", ({ deps, scope, body }) =>
    openSession(deps, { scope, keyPool: scope.keyPool, input: body, full }),
  );
  register("closeSession", async ({ deps, scope }) => await closeSession(deps, scope));
};
