"""Where and when 3,000,000 flights of 2001 were late, computed by polars.

The data is `flights-3m.parquet` of the npm package `vega-datasets`. The tables between the tasks are stored as parquet, so a later
attempt reads what an earlier one has computed.
"""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
from towpath import artifact, flow, log, task

LATE_MINUTES = 15


@task
def read(path: str, sample: int | None) -> pl.DataFrame:
    """One row per flight, with the hour and the weekday of its departure and whether it arrived late."""
    rows = pl.scan_parquet(path)
    rows = rows if sample is None else rows.head(sample)
    flights = rows.select(
        "origin",
        "destination",
        "distance",
        pl.col("date").dt.hour().alias("hour"),
        pl.col("date").dt.weekday().alias("weekday"),
        (pl.col("delay") > LATE_MINUTES).alias("late"),
    ).collect()
    log.info(f"{flights.height:,} flights of {flights['origin'].n_unique()} airports")
    return flights


@task
def late_by(flights: pl.DataFrame, column: str, least: int) -> pl.DataFrame:
    """The part of late flights for each value of a column that has at least `least` flights, in percent."""
    return (
        flights.group_by(column)
        .agg(pl.len().alias("flights"), (pl.col("late").mean() * 100).round(1).alias("late, %"))
        .filter(pl.col("flights") >= least)
        .sort(["late, %", column], descending=[True, False])
    )


@flow(run_name="late flights")
def late_flights(sample: int | None = None, data: str = "") -> dict[str, float | str]:
    path = data or str(Path(os.environ["EXAMPLES_DATA"], "flights-3m.parquet"))
    flights = read(path, sample)
    least = max(1, flights.height // 1_000)
    columns = ["origin", "destination", "hour", "weekday"]
    tables = [late_by.submit(flights, column, least) for column in columns]
    for column, table in zip(columns, tables, strict=True):
        artifact.table(f"late-by-{column}", table.result().head(10).to_dicts(), title=f"Late flights by {column}")
    worst = tables[0].result().row(0, named=True)
    late = 100 * flights["late"].sum() / flights.height
    return {"late, %": round(late, 1), "worst origin": worst["origin"], "its part, %": worst["late, %"]}


if __name__ == "__main__":
    late_flights.run_main()
