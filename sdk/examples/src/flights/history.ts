import { float64At } from "./table.ts";

/** Counts of flights and late flights for many entities (airports, routes…). They may decay over time. */
export interface Tally {
  readonly flights: Float64Array;
  readonly late: Float64Array;
}

/** An empty tally for `entities` entities. */
export function startTally(entities: number): Tally {
  return { flights: new Float64Array(entities), late: new Float64Array(entities) };
}

/** Counts one flight of an entity; `late` is 0 or 1. */
export function count(tally: Tally, entity: number, late: number): void {
  tally.flights[entity] = float64At(tally.flights, entity) + 1;
  tally.late[entity] = float64At(tally.late, entity) + late;
}

/** Multiplies all counts by `keep`: 0 forgets, 1 remembers all. */
export function fade(tally: Tally, keep: number): void {
  for (let entity = 0; entity < tally.flights.length; entity++) {
    tally.flights[entity] = float64At(tally.flights, entity) * keep;
    tally.late[entity] = float64At(tally.late, entity) * keep;
  }
}

/**
 * The share of late flights of an entity, drawn towards `prior.rate` as if `prior.flights` more flights had shown it.
 *
 * So an entity with few flights has about the prior rate, and one without flights has exactly that. Always within (0, 1) if the
 * prior is.
 */
export function smoothedRate(tally: Tally, entity: number, prior: { rate: number; flights: number }): number {
  return (
    (float64At(tally.late, entity) + prior.rate * prior.flights) /
    (float64At(tally.flights, entity) + prior.flights)
  );
}

/** Log odds of a rate within (0, 1): the scale on which a logistic model adds. */
export function logOdds(rate: number): number {
  return Math.log(rate / (1 - rate));
}
