"""Tunes a classifier of 1,797 handwritten digits.

Each candidate is trained in a process of its own, so that a time limit can end it and several use several cores. A run that is
killed goes on with the candidates that it has not scored. Where MLFLOW_TRACKING_URI is set, the scores go to MLflow.
"""

from __future__ import annotations

import os

from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from towpath import artifact, flow, log, task
from towpath.mlflow import mlflow_run


@task(runs_in="process", timeout="10m", concurrency=2, map_key=str)
def score(strength: float, folds: int) -> float:
    """The part of the digits that a support vector machine recognises, in cross-validation."""
    digits = load_digits()
    model = make_pipeline(StandardScaler(), SVC(C=strength))
    scores = cross_val_score(model, digits.data, digits.target, cv=folds)
    return round(float(scores.mean()), 4)


@task
def track(scores: dict[str, float]) -> None:
    """Writes the scores to MLflow."""
    import mlflow

    with mlflow_run(experiment="digits"):
        for strength, accuracy in scores.items():
            with mlflow.start_run(nested=True, run_name=f"C={strength}"):
                mlflow.log_param("C", strength)
                mlflow.log_metric("accuracy", accuracy)
        mlflow.log_metric("best accuracy", max(scores.values()))


@flow
def digits(strengths: list[float] = [0.1, 1.0, 10.0, 100.0], folds: int = 5) -> dict[str, float]:
    scores = score.map(strengths, folds).results()
    ranked = sorted(zip(scores, strengths, strict=True), reverse=True)
    rows = [{"C": strength, "correct, %": round(100 * part, 2)} for part, strength in ranked]
    artifact.table("candidates", rows, title="Candidates, best first")
    if "MLFLOW_TRACKING_URI" in os.environ:
        track({str(strength): part for part, strength in ranked})
    accuracy, best = ranked[0]
    log.info(f"C = {best} recognises {100 * accuracy:.1f} % of the digits")
    return {"C": best, "correct": accuracy}


if __name__ == "__main__":
    digits.run_main()
