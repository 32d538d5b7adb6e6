import type { Place } from "../../runs/index.ts";
import type { Waiter } from "./waiter.ts";

/** The most attempts that one claim statement gives away. */
const PLACES_MAX = 500;
/** The most attempts that one poll is given: it comes back for more at once. */
const PLACES_PER_POLL = 100;

/** A place of a waiting poll. */
export function placeOf({ worker, name, seq }: Waiter): Place {
  return { workerId: worker.workerId, workerName: name, told: { generation: worker.generation, seq } };
}

/** The free slots of waiting polls: one after the other, so that work spreads over the workers. */
export function placesOf(waiters: readonly Waiter[]): Place[] {
  const places: Place[] = [];
  let open = waiters;
  for (let round = 0; round < PLACES_PER_POLL && places.length < PLACES_MAX; round++) {
    open = open.filter((waiter) => waiter.free > round);
    if (open.length === 0) break;
    for (const waiter of open) places.push(placeOf(waiter));
  }
  return places.slice(0, PLACES_MAX);
}
