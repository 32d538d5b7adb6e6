import type { SliceRoutes } from "../kernel/index.ts";
import { createNotifier, deleteNotifier, listDeliveries, listNotifiers, testNotifier } from "./notifiers.ts";

/** The routes of notify. */
export const notifyRoutes: SliceRoutes = (register) => {
  register("createNotifier", ({ deps, scope, body }) => createNotifier(deps, { scope, input: body }));
  register("listNotifiers", ({ deps, scope, query }) => listNotifiers(deps, { scope, ...query }));
  register("deleteNotifier", async ({ deps, scope, params }) => {
    await deleteNotifier(deps, { scope, ...params });
    return undefined;
  });
  register("testNotifier", ({ deps, scope, params }) => testNotifier(deps, { scope, ...params }));
  register("listDeliveries", ({ deps, scope, query }) => listDeliveries(deps, { scope, ...query }));
};
