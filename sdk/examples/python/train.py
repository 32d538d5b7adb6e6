"""Trains a forecast of rain in Seattle: given a day's weather, will it rain on the next?

A plain command, as a deployment may be one. Parameters come as a JSON object in the file that TOWPATH_PARAMETERS_FILE names
(all of them optional; without the variable the defaults hold). Where a worker started it, it reports lines, progress and a table
through the run protocol (towpath_run.py); anywhere else it prints lines. The exit code says how it ended: 0 for a model that
beats always saying the base rate on the held-out last year, 1 for anything else. Python's standard library is all it needs.
"""

import csv
import json
import math
import os
import random
import sys
import threading
from contextlib import nullcontext
from datetime import date
from pathlib import Path

# The code that a worker runs is shared and read-only; in a folder of one's own nobody wants the file either.
sys.dont_write_bytecode = True

import towpath_run

DEFAULTS = {
    # CSV with date, precipitation (mm), temp_max and temp_min (degrees Celsius), wind (its unit does not matter here), one row a day.
    "data": str(Path(__file__).resolve().parent / "data" / "seattle-weather.csv"),
    "epochs": 20,
    "learningRate": 0.05,
    "seed": 1,
    # Days at the end that are kept for the examination.
    "heldOutDays": 365,
    # Where to write the model as JSON; empty: nowhere.
    "output": "",
}
MAX_EPOCHS = 10_000
MAX_DAYS = 1_000_000
FEATURES = ["rained", "log-precipitation", "temp-max", "temp-min", "wind", "season-sin", "season-cos"]


class Refused(Exception):
    """The input is not what this program can work with; the message says what to change."""


class Cancelled(Exception):
    """Somebody wants the run to stop."""


class Console:
    """Takes reports where there is no worker, and is never cancelled."""

    cancelled = threading.Event()
    reason = ""

    def log(self, line):
        # Flushed, so that whoever follows sees a line when it is written.
        print(line, flush=True)

    def progress(self, key, **shown):
        pass

    def table(self, key, **shown):
        pass

    def task(self, name):
        return nullcontext()


def read_parameters(environ):
    path = environ.get("TOWPATH_PARAMETERS_FILE")
    given = {}
    if path:
        try:
            given = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Refused(f"the parameters file {path} cannot be read: {error}") from error
    if not isinstance(given, dict):
        raise Refused("the parameters are not a JSON object")
    for name, value in given.items():
        check_parameter(name, value)
    return {**DEFAULTS, **given}


def check_parameter(name, value):
    if name not in DEFAULTS:
        raise Refused(f'unknown parameter "{name}"; there are {", ".join(DEFAULTS)}')
    wanted = type(DEFAULTS[name])
    # In Python a bool is an int, and JSON's 1 may stand for 1.0.
    fits = (wanted is float and type(value) is int) or type(value) is wanted
    if not fits:
        raise Refused(f'parameter "{name}" is {json.dumps(value)}, a {wanted.__name__} is expected')
    ranges = {"epochs": (1, MAX_EPOCHS), "heldOutDays": (30, MAX_DAYS), "learningRate": (1e-6, 10)}
    low, high = ranges.get(name, (None, None))
    if low is not None and not low <= value <= high:
        raise Refused(f'parameter "{name}" is {value}, allowed is {low} to {high}')


def read_days(path):
    try:
        with open(path, newline="", encoding="utf-8") as file:
            days = []
            for row in csv.DictReader(file):
                if len(days) >= MAX_DAYS:
                    raise Refused(f"{path} holds more than {MAX_DAYS} days")
                days.append(read_day(row))
            return days
    except OSError as error:
        raise Refused(f'the data cannot be read: {error}; check the parameter "data"') from error
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"{path} is not the expected table: {error!r}") from error


def read_day(row):
    day = date.fromisoformat(row["date"])
    rain, warm, cold, wind = (float(row[name]) for name in ("precipitation", "temp_max", "temp_min", "wind"))
    season = 2 * math.pi * day.timetuple().tm_yday / 365.25
    values = [1.0 if rain > 0 else 0.0, math.log1p(rain), warm, cold, wind, math.sin(season), math.cos(season)]
    return {"date": day, "rained": rain > 0, "values": values}


def pair_days(days):
    """Each day with whether it rained on the next; a gap in the dates breaks the pair."""
    pairs = []
    for today, tomorrow in zip(days, days[1:]):
        if (tomorrow["date"] - today["date"]).days == 1:
            pairs.append((today["values"], 1 if tomorrow["rained"] else 0))
    return pairs


def standardiser(pairs):
    columns = list(zip(*(values for values, _ in pairs)))
    means = [sum(column) / len(column) for column in columns]
    deviations = [
        math.sqrt(sum((value - mean) ** 2 for value in column) / len(column)) or 1.0 for column, mean in zip(columns, means)
    ]
    return means, deviations


def apply_standardiser(pairs, means, deviations):
    return [([(v - m) / d for v, m, d in zip(values, means, deviations)], label) for values, label in pairs]


def logistic(odds):
    # Both branches keep exp() from overflowing.
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))


def probability(weights, values):
    return logistic(weights[-1] + sum(w * v for w, v in zip(weights, values)))


def log_loss(label, foretold):
    kept = min(max(foretold, 1e-9), 1 - 1e-9)
    return -math.log(kept if label else 1 - kept)


def train(pairs, parameters, report):
    """Logistic regression by stochastic gradient descent, with steps that shrink from pass to pass."""
    chance = random.Random(parameters["seed"])
    weights = [0.0] * (len(FEATURES) + 1)
    order = list(pairs)
    epochs = parameters["epochs"]
    for epoch in range(1, epochs + 1):
        if report.cancelled.is_set():
            raise Cancelled(report.reason)
        chance.shuffle(order)
        rate = parameters["learningRate"] / math.sqrt(epoch)
        loss = 0.0
        for values, label in order:
            foretold = probability(weights, values)
            loss += log_loss(label, foretold)
            error = foretold - label
            for index, value in enumerate(values):
                weights[index] -= rate * error * value
            weights[-1] -= rate * error
        report.log(f"epoch {epoch}/{epochs}  log loss {loss / len(order):.4f}")
        report.progress("epochs", done=epoch, total=epochs, unit="epochs", title="Training")
    return weights


def examine(weights, pairs, base_rate):
    scores = [(probability(weights, values), label) for values, label in pairs]
    return {
        "days": len(scores),
        "accuracy": sum((score >= 0.5) == (label == 1) for score, label in scores) / len(scores),
        "logLoss": sum(log_loss(label, score) for score, label in scores) / len(scores),
        "baseLogLoss": sum(log_loss(label, base_rate) for _, label in scores) / len(scores),
    }


def forecast(parameters, report):
    """Trains and examines; answers the metrics on the days held out."""
    report.log(f"reading {parameters['data']}")
    pairs = pair_days(read_days(parameters["data"]))
    held_out = parameters["heldOutDays"]
    if len(pairs) < held_out + 30:
        raise Refused(f"{len(pairs)} pairs of days do not allow to hold out {held_out} and learn from at least 30")
    means, deviations = standardiser(pairs[:-held_out])
    known = apply_standardiser(pairs[:-held_out], means, deviations)
    unseen = apply_standardiser(pairs[-held_out:], means, deviations)
    base_rate = sum(label for _, label in known) / len(known)
    report.log(f"learning from {len(known)} days, of which {base_rate:.1%} were followed by rain; {len(unseen)} days held out")
    with report.task("train"):
        weights = train(known, parameters, report)
    with report.task("examine"):
        metrics = {name: round(value, 4) for name, value in examine(weights, unseen, base_rate).items()}
    report.log("held out: " + json.dumps(metrics))
    report.table("metrics", columns=["metric", "held out"], rows=list(metrics.items()), title="The year held out")
    if not metrics["logLoss"] < metrics["baseLogLoss"]:
        raise Refused("the model does not beat always saying the base rate")
    if parameters["output"]:
        model = {"features": FEATURES, "means": means, "deviations": deviations, "weights": weights, "metrics": metrics}
        write_model(parameters["output"], model)
        report.log(f"model written to {parameters['output']}")
    report.log("done")
    return metrics


def write_model(path, model):
    try:
        Path(path).write_text(json.dumps(model, indent=1), encoding="utf-8")
    except OSError as error:
        raise Refused(f"the model cannot be written: {error}") from error


def main():
    run = towpath_run.connect()
    try:
        metrics = forecast(read_parameters(os.environ), run or Console())
        if run:
            run.end("completed", result=run.save("metrics", metrics))
        return 0
    except Cancelled as request:
        run.log(f"stopping as asked: {request}")
        run.end("cancelled")
        return 1
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr, flush=True)
        if run:
            run.end("failed", error=refusal)
        return 1


if __name__ == "__main__":
    sys.exit(main())
