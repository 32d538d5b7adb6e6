import { SLOT_FAULTS } from "../../../services/control/src/slot-faults.fixture.ts";
import type { Scene } from "../scene.ts";
import type { Breach } from "./tables.ts";

/** Invariant 9: used slots are those of live attempts and their tasks, never negative; in the end all are free. */
export async function slotsKept(scene: Scene): Promise<Breach[]> {
  const faults = await scene.sql.unsafe<{ fault: string }[]>(SLOT_FAULTS);
  const left = await scene.sql<{ fault: string }[]>`
    select 'after the end of every run, ' || taken || ' slots of ' || name || ' are taken' as fault
    from slot_limit where taken > 0 and not exists (select 1 from attempt where ended_at is null)`;
  return [...faults, ...left].map(({ fault }) => ({ invariant: 9, seen: fault }));
}
