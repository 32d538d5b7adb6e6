import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { readDeploymentSearch } from "./deployments/search.ts";
import { queryClient } from "./kernel/query.ts";
import { Empty, Failure, Skeleton } from "./kernel/query-result.tsx";
import { Layout } from "./layout.tsx";
import { readCompareSearch, readRunPageSearch, readRunSearch, readWaitSearch } from "./runs/list/search.ts";
import { runsQuery } from "./runs/list/use-runs.ts";
import { readScheduleSearch } from "./schedules/search.ts";

const rootRoute = createRootRoute({
  component: Layout,
  notFoundComponent: () => <Empty title="Page not found">Use the navigation to open another page.</Empty>,
  // Code that failed, or could not be loaded, is loaded again with the page.
  errorComponent: ({ error }) => (
    <Failure failure={error} retry={{ refetch: () => window.location.reload() }} />
  ),
});

const home = createRoute({
  getParentRoute: () => rootRoute,
  path: "/",
  component: lazyRouteComponent(() => import("./home/home-page.tsx"), "HomePage"),
});
const runs = createRoute({
  getParentRoute: () => rootRoute,
  path: "/runs",
  validateSearch: readRunSearch,
  loaderDeps: ({ search }) => search,
  // Reads the list while the code of the screen loads.
  loader: ({ deps }) => void queryClient.prefetchInfiniteQuery(runsQuery(deps)),
  component: lazyRouteComponent(() => import("./runs/list/runs-page.tsx"), "RunsPage"),
});
const run = createRoute({
  getParentRoute: () => rootRoute,
  path: "/runs/$runId",
  validateSearch: readRunPageSearch,
  component: lazyRouteComponent(() => import("./runs/detail/run-page.tsx"), "RunPage"),
});
const compareChoice = createRoute({
  getParentRoute: () => rootRoute,
  path: "/runs/$runId/compare",
  component: lazyRouteComponent(() => import("./runs/compare/compare-choice.tsx"), "CompareChoice"),
});
const compare = createRoute({
  getParentRoute: () => rootRoute,
  path: "/runs/$runId/compare/$otherId",
  validateSearch: readCompareSearch,
  component: lazyRouteComponent(() => import("./runs/compare/compare-page.tsx"), "ComparePage"),
});
const received = createRoute({
  getParentRoute: () => rootRoute,
  path: "/runs/$runId/wire",
  component: lazyRouteComponent(() => import("./logs/received-page.tsx"), "ReceivedPage"),
});
const waits = createRoute({
  getParentRoute: () => rootRoute,
  path: "/waits",
  validateSearch: readWaitSearch,
  component: lazyRouteComponent(() => import("./runs/waits/waits-page.tsx"), "WaitsPage"),
});
const deployments = createRoute({
  getParentRoute: () => rootRoute,
  path: "/deployments",
  component: lazyRouteComponent(() => import("./deployments/deployments-page.tsx"), "DeploymentsPage"),
});
const deployment = createRoute({
  getParentRoute: () => rootRoute,
  path: "/deployments/$name",
  validateSearch: readDeploymentSearch,
  component: lazyRouteComponent(() => import("./deployments/deployment-page.tsx"), "DeploymentPage"),
});
const pools = createRoute({
  getParentRoute: () => rootRoute,
  path: "/pools",
  component: lazyRouteComponent(() => import("./pools/pools-page.tsx"), "PoolsPage"),
});
const schedules = createRoute({
  getParentRoute: () => rootRoute,
  path: "/schedules",
  validateSearch: readScheduleSearch,
  component: lazyRouteComponent(() => import("./schedules/schedules-page.tsx"), "SchedulesPage"),
});
const limits = createRoute({
  getParentRoute: () => rootRoute,
  path: "/limits",
  component: lazyRouteComponent(() => import("./limits/limits-page.tsx"), "LimitsPage"),
});
const notify = createRoute({
  getParentRoute: () => rootRoute,
  path: "/notify",
  component: lazyRouteComponent(() => import("./notify/notify-page.tsx"), "NotifyPage"),
});
const keys = createRoute({
  getParentRoute: () => rootRoute,
  path: "/keys",
  component: lazyRouteComponent(() => import("./identity/keys-page.tsx"), "KeysPage"),
});
const states = createRoute({
  getParentRoute: () => rootRoute,
  path: "/states",
  component: lazyRouteComponent(() => import("./runs/states-page.tsx"), "StatesPage"),
});

/** The screens by address. Each is a chunk of its own, loaded when it is first opened. */
export const router = createRouter({
  routeTree: rootRoute.addChildren([
    home,
    runs,
    run,
    compareChoice,
    compare,
    received,
    waits,
    deployments,
    deployment,
    pools,
    schedules,
    limits,
    notify,
    keys,
    states,
  ]),
  // The name of a deployment has its stage after an @, which needs no escape in a path.
  pathParamsAllowedCharacters: ["@"],
  defaultPreload: "intent",
  defaultPendingComponent: () => <Skeleton look="panels" rows={12} />,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
