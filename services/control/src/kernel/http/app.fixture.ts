import { Problem, type RouteName } from "@towpath/contract";
import type { Hono } from "hono";
import type { Deps } from "../deps.ts";
import { createApp } from "./app.ts";
import type { Identify } from "./caller.ts";
import type { Register, SliceRoutes } from "./handle.ts";
import { ROUTE_NAMES } from "./registry.ts";

/** Where a route of the fixture says that its handler was reached. */
export const REACHED = "the handler was reached";

/** Answers every route that the slices under test leave out, so that the application can be built without the others. */
function theRest(slices: readonly SliceRoutes[]): SliceRoutes {
  const taken = new Set<RouteName>();
  const note: Register = (name) => void taken.add(name);
  for (const slice of slices) slice(note);
  return (register) => {
    for (const name of ROUTE_NAMES) {
      if (taken.has(name)) continue;
      register(name, async () => {
        throw new Problem("not-found", REACHED);
      });
    }
  };
}

/** An application of the real kernel around the slices under test. */
export function openTestApp(a: {
  deps: Deps;
  identify: Identify;
  slices?: readonly SliceRoutes[];
  pages?: ((app: Hono) => void)[];
  shutdown?: AbortSignal;
}): Hono {
  const slices = a.slices ?? [];
  return createApp({
    deps: a.deps,
    identify: a.identify,
    slices: [...slices, theRest(slices)],
    pages: a.pages ?? [],
    shutdown: a.shutdown ?? new AbortController().signal,
  });
}
