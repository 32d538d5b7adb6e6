import { artifact, type RefTo } from "towpath";
import { type Evaluation, gainOverBaseRate } from "./evaluate.ts";
import type { FeatureSuspicion } from "./leakage.ts";
import type { Model } from "./model.ts";
import type { Split } from "./split.ts";
import { formatServiceDay, LATE_AFTER_MIN } from "./table.ts";
import type { DataReport } from "./validate.ts";

const PERCENT = 100;
/** Features named in the summary. */
const FEATURES_SHOWN = 5;

function percent(share: number): string {
  return `${(share * PERCENT).toFixed(1)} %`;
}

/** Shows the quality of the model beside that of the base rate. */
export async function showMetrics(evaluation: Evaluation): Promise<void> {
  await artifact.table({
    key: "metrics",
    title: "Held-out weeks",
    columns: ["measure", "model", "base rate alone"],
    rows: [
      ["AUC", Number(evaluation.auc.toFixed(4)), 0.5],
      ["log loss", Number(evaluation.logLoss.toFixed(4)), Number(evaluation.baseLogLoss.toFixed(4))],
      ["flights", evaluation.rows, evaluation.rows],
    ],
  });
}

/** Shows whether predicted probabilities match the shares of late flights. */
export async function showCalibration(evaluation: Evaluation): Promise<void> {
  await artifact.table({
    key: "calibration",
    title: "Calibration, by tenths of increasing risk",
    columns: ["flights", "predicted", "late"],
    rows: evaluation.calibration.map((bin) => [bin.rows, percent(bin.foretold), percent(bin.observed)]),
  });
}

/** Shows a summary of the training, the evaluation and the model's location. */
export async function showSummary(args: {
  report: DataReport;
  evaluation: Evaluation;
  suspicions: readonly FeatureSuspicion[];
  split: Split;
  model: RefTo<Model>;
}): Promise<void> {
  const { report, evaluation, split } = args;
  const best = [...args.suspicions].sort((one, other) => other.auc - one.auc).slice(0, FEATURES_SHOWN);
  await artifact.markdown({
    key: "summary",
    title: "Late arrivals",
    text: [
      `**${report.rows.toLocaleString("en-US")} flights** of the service days ${report.from} to ${report.to}, ${report.airports} airports. ` +
        `${percent(report.lateShare)} arrived more than ${LATE_AFTER_MIN} minutes late.`,
      "",
      `Trained on flights before ${formatServiceDay(split.heldOutFromDay)}, evaluated on the ` +
        `${evaluation.rows.toLocaleString("en-US")} later flights: AUC **${evaluation.auc.toFixed(3)}**, log loss ` +
        `**${evaluation.logLoss.toFixed(4)}**, ${percent(gainOverBaseRate(evaluation))} below that of the base rate.`,
      "",
      `The best single features: ${best.map((one) => `${one.name} (${one.auc.toFixed(3)})`).join(", ")}.`,
      "",
      `The model: ${args.model.uri} (${args.model.sizeBytes.toLocaleString("en-US")} bytes).`,
    ].join("\n"),
  });
}
