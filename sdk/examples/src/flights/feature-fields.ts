/**
 * The sources of features, and whether each is known at the time of the forecast: 04:00, before the service day begins.
 *
 * The leakage check refuses every feature with a source that is known only later.
 */
export const SOURCES = {
  calendar: { known: "before", what: "the service day and its weekday" },
  timetable: { known: "before", what: "planned departure, recovered from the training period" },
  distance: { known: "before", what: "length of the route" },
  origin: { known: "before", what: "airport of departure" },
  destination: { known: "before", what: "airport of arrival" },
  history: { known: "before", what: "outcomes of flights that had landed when the service day began" },
  departure: { known: "after", what: "when the aircraft really left" },
  delay: { known: "after", what: "how late it arrived: the answer" },
} as const satisfies Record<string, { known: "before" | "after"; what: string }>;

/** One key of {@link SOURCES}. */
export type Source = keyof typeof SOURCES;

/** A number for each flight. */
export interface DenseField {
  readonly name: string;
  readonly reads: readonly Source[];
}

/** One of `levels` codes for each flight. Each code has its own weight. At most 65,536 levels. */
export interface CategoricalField extends DenseField {
  readonly levels: number;
}

/** Planned hours 0 to 23 of the service day, and 24 for a flight that is not in the timetable. */
export const HOUR_LEVELS = 25;

/**
 * The numbers of every flight, in the order of {@link fillDense}'s writing. Rates enter as log odds.
 *
 * The day of the year is not a feature: in half a year of data each date occurs once, so it would add nothing to the recent
 * rates.
 */
export const DENSE_FIELDS = [
  { name: "log-distance", reads: ["distance"] },
  { name: "network-yesterday", reads: ["history"] },
  { name: "network-recent", reads: ["history"] },
  { name: "origin-yesterday", reads: ["origin", "history"] },
  { name: "origin-recent", reads: ["origin", "history"] },
  { name: "destination-yesterday", reads: ["destination", "history"] },
  { name: "destination-recent", reads: ["destination", "history"] },
  { name: "route-recent", reads: ["origin", "destination", "history"] },
  { name: "route-rate", reads: ["origin", "destination", "history"] },
  { name: "origin-hour-rate", reads: ["origin", "timetable", "history"] },
  { name: "destination-hour-rate", reads: ["destination", "timetable", "history"] },
] as const satisfies readonly DenseField[];

/** The codes of every flight, for so many airports and so many routes known from training. */
export function categoricalFields(args: { airports: number; routes: number }): readonly CategoricalField[] {
  return [
    { name: "weekday-hour", reads: ["calendar", "timetable"], levels: 7 * HOUR_LEVELS },
    { name: "origin-hour", reads: ["origin", "timetable"], levels: args.airports * HOUR_LEVELS },
    { name: "destination-hour", reads: ["destination", "timetable"], levels: args.airports * HOUR_LEVELS },
    // Level 0 is a route that is not in the training period.
    { name: "route", reads: ["origin", "destination"], levels: args.routes + 1 },
  ];
}
