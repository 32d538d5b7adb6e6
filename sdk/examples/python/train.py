"""Trains a model that predicts from a day's weather in Seattle whether it rains on the next day.

A deployment can run it as a plain command. The file that TOWPATH_PARAMETERS_FILE names has the parameters as a JSON object.
All parameters are optional. Started by a worker, it reports log lines, progress and a table through the run protocol
(towpath_run.py). Otherwise it prints lines. It exits with 0 if the model beats the base rate on the held-out last year, else
with 1. It needs only Python's standard library.
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

# The code on a worker is shared and read-only, so Python must not write bytecode beside it.
sys.dont_write_bytecode = True

import towpath_run

DEFAULTS = {
    # CSV with date, precipitation (mm), temp_max and temp_min (degrees Celsius), wind (in any unit), one row a day.
    "data": str(Path(__file__).resolve().parent / "data" / "seattle-weather.csv"),
    "epochs": 20,
    "learningRate": 0.05,
    "seed": 1,
    # The last days, which are held out for the evaluation.
    "heldOutDays": 365,
    # The path for the model as JSON. Empty: the model is not written.
    "output": "",
}
MAX_EPOCHS = 10_000
MAX_DAYS = 1_000_000
FEATURES = ["rained", "log-precipitation", "temp-max", "temp-min", "wind", "season-sin", "season-cos"]


class Refused(Exception):
    """The input is invalid. The message says what to change."""


class Cancelled(Exception):
    """The run was cancelled."""


class Console:
    """Prints the reports if no worker started the script. Never cancelled."""

    cancelled = threading.Event()
    reason = ""

    def log(self, line):
        # Flushed, so that readers see each line at once.
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
    # In Python a bool is an int. JSON may write 1.0 as 1.
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
    """Pairs each day with whether it rained on the next day. Days before a gap have no pair."""
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
    # The two branches avoid an overflow of exp().
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))


def probability(weights, values):
    return logistic(weights[-1] + sum(w * v for w, v in zip(weights, values)))


def log_loss(label, predicted):
    kept = min(max(predicted, 1e-9), 1 - 1e-9)
    return -math.log(kept if label else 1 - kept)


def train(pairs, parameters, report):
    """Logistic regression by stochastic gradient descent. The steps shrink with each pass."""
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
            predicted = probability(weights, values)
            loss += log_loss(label, predicted)
            error = predicted - label
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
    """Trains and evaluates the model. Returns the metrics of the held-out days."""
    report.log(f"reading {parameters['data']}")
    pairs = pair_days(read_days(parameters["data"]))
    held_out = parameters["heldOutDays"]
    if len(pairs) < held_out + 30:
        raise Refused(f"{len(pairs)} pairs of days are too few to hold out {held_out} and train on at least 30")
    means, deviations = standardiser(pairs[:-held_out])
    known = apply_standardiser(pairs[:-held_out], means, deviations)
    unseen = apply_standardiser(pairs[-held_out:], means, deviations)
    base_rate = sum(label for _, label in known) / len(known)
    report.log(f"training on {len(known)} days, {base_rate:.1%} of them followed by rain; {len(unseen)} days held out")
    with report.task("train"):
        weights = train(known, parameters, report)
    with report.task("examine"):
        metrics = {name: round(value, 4) for name, value in examine(weights, unseen, base_rate).items()}
    report.log("held out: " + json.dumps(metrics))
    report.table("metrics", columns=["metric", "held out"], rows=list(metrics.items()), title="Held-out days")
    if not metrics["logLoss"] < metrics["baseLogLoss"]:
        raise Refused("the model does not beat the base rate")
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
        run.log(f"stopping after a cancellation: {request}")
        run.end("cancelled")
        return 1
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr, flush=True)
        if run:
            run.end("failed", error=refusal)
        return 1


if __name__ == "__main__":
    sys.exit(main())
