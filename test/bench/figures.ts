/** Named figures of one side, all in the row's unit. The first one is what ratios compare. */
export type Figures = Readonly<Record<string, number>>;

/** One row of the bench. */
export interface Row {
  readonly row: string;
  readonly unit: string;
  readonly ours: Figures;
  readonly peers: Readonly<Record<string, Figures>>;
  /** Ours divided by the first peer, or by what `against` says. Null where there is nothing to compare with. */
  readonly ratio: number | null;
  /** What the ratio should be. */
  readonly aim: string;
  /** How it was measured, in one sentence. */
  readonly how: string;
}

/** The value below which this share of the samples lies, by nearest rank. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The middle of the samples. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** p50 and p99. With fewer than a hundred samples p99 is the largest. */
export function latencies(samples: readonly number[]): Figures {
  return { p50: quantile(samples, 0.5), p99: quantile(samples, 0.99) };
}

/** A figure with three significant digits. */
export function significant(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** The figures of one side, in one line. */
export function figuresText(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${significant(value)}`)
    .join(", ");
}

/** A row as people read it. */
export function lineOf(row: Row): string {
  const peers = Object.entries(row.peers).map(([name, figures]) => `\n    ${name}: ${figuresText(figures)}`);
  const ratio = row.ratio === null ? "" : `\n    ratio ${significant(row.ratio)} (aim: ${row.aim})`;
  return `${row.row} [${row.unit}]\n    towpath: ${figuresText(row.ours)}${peers.join("")}${ratio}\n    ${row.how}`;
}
