"""How well four measures tell the species of 344 penguins.

A candidate is a number of neighbours. Each is scored by a task of its own, a person approves the best, and a run that is killed goes
on with the candidates that it has not scored. It needs only Python's standard library.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from towpath import artifact, flow, log, suspend, task

MEASURES = ("Beak Length (mm)", "Beak Depth (mm)", "Flipper Length (mm)", "Body Mass (g)")
Penguin = dict[str, Any]


@task
def load(path: str) -> list[Penguin]:
    """The penguins with all four measures."""
    rows = json.loads(Path(path).read_text(encoding="utf-8"))
    return [row for row in rows if all(isinstance(row.get(measure), (int, float)) for measure in MEASURES)]


@task(concurrency=2, map_key=str)
def score(neighbours: int, penguins: list[Penguin]) -> float:
    """The part of the penguins whose nearest others have the same species most often."""
    points = standardised(penguins)
    right = sum(
        vote(points, penguins, index, neighbours) == penguin["Species"] for index, penguin in enumerate(penguins)
    )
    log.info(f"{neighbours} neighbours: {100 * right / len(penguins):.1f} % correct")
    return right / len(penguins)


def standardised(penguins: list[Penguin]) -> list[list[float]]:
    """The measures of each penguin, each measure with mean 0 and deviation 1."""
    columns = []
    for measure in MEASURES:
        values = [float(penguin[measure]) for penguin in penguins]
        mean = sum(values) / len(values)
        deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
        columns.append([(value - mean) / deviation for value in values])
    return [list(point) for point in zip(*columns, strict=True)]


def vote(points: list[list[float]], penguins: list[Penguin], index: int, neighbours: int) -> str:
    """The species of most neighbours of a penguin, itself left out."""
    here = points[index]
    distances = sorted(
        (sum((a - b) ** 2 for a, b in zip(here, point, strict=True)), other)
        for other, point in enumerate(points)
        if other != index
    )
    species = [str(penguins[other]["Species"]) for _, other in distances[:neighbours]]
    return max(sorted(set(species)), key=species.count)


@flow(name="penguins-python")
def penguins_python(neighbours: list[int] = [1, 5, 9, 25], ask: bool = False, data: str = "") -> dict[str, Any]:
    rows = load(data or str(Path(os.environ["EXAMPLES_DATA"], "penguins.json")))
    scores = score.map(neighbours, rows).results()
    ranked = sorted(zip(scores, neighbours, strict=True), reverse=True)
    artifact.table(
        "candidates",
        [{"neighbours": count, "correct, %": round(100 * part, 1)} for part, count in ranked],
        title="Candidates, best first",
    )
    part, best = ranked[0]
    published = not ask or suspend.input(f"Publish the model with neighbours = {best}?", bool, deadline="7d")
    return {"neighbours": best, "correct": part, "published": published}


if __name__ == "__main__":
    penguins_python.run_main()
