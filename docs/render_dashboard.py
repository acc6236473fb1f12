# /// script
# requires-python = ">=3.13"
# dependencies = ["matplotlib==3.10.*", "pyyaml==6.*"]
# ///
"""Draw the dashboard of template.yaml over made-up data, as docs/dashboard.png.

Run it in the repository's root with `PYTHONPATH=. uv run docs/render_dashboard.py`, which makes the environment of the
lines above. The layout, titles, metrics and labels are the template's; the numbers are invented.
"""

import json
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl  # type: ignore[import-not-found]
from matplotlib import pyplot as plt

from tools.template import deployed

mpl.use("Agg")

DOCS = Path(__file__).resolve().parent
PICTURE = DOCS / "dashboard.png"
POINTS = 37  # three hours of five minutes each
COLUMNS, CELL = 24, 0.7  # of the dashboard's grid, and inches a cell
COLORS = ["#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b"]
RED, GREEN, GREY = "#d62728", "#1d8102", "#687078"

# An invented morning: two bursts, a throttled event that succeeded at last and one that didn't, a file that the job
# could not read, and two uploads that only the backfill found.
LEVELS = {
    "Started": 9.0,
    "Duplicates": 7.0,
    "folder_marker": 1.2,
    "empty_object": 0.5,
    "object_gone": 0.3,
    "p50": 1100.0,
    "p99": 3900.0,
    "AsyncEventAge": 90.0,
}
SPIKES = {
    "throttled": {20: 2.0},
    "access_denied": {20: 2.0, 21: 1.0},
    "ExecutionsFailed": {26: 1.0},
    "Backfilled": {30: 2.0},
    "ApproximateNumberOfMessagesVisible": dict.fromkeys(range(21, 30), 1.0),
    "ApproximateAgeOfOldestMessage": {point: (point - 21) * 300.0 for point in range(21, 30)},
}
SUMS = {
    "Skipped": ("folder_marker", "empty_object", "object_gone"),
    "Failed": ("throttled", "access_denied"),
    "Errors": ("Failed",),
    "Received": ("Started", "Duplicates", "Skipped", "Failed"),
    "ExecutionsStarted": ("Started", "Backfilled"),
    "ExecutionsSucceeded": ("Started", "Backfilled"),
    "ServiceIntegrationsStarted": ("Started", "Backfilled"),
    "ServiceIntegrationsSucceeded": ("Started", "Backfilled"),
    "ServiceIntegrationsFailed": ("ExecutionsFailed",),
}
DELAYED = {"ExecutionsSucceeded", "ServiceIntegrationsSucceeded"}
# There are no windows and no sets.
IDLE = ("WindowStateMachine", "CollectWindowFunction")
IN_ALARM = ("BackfilledAlarm", "ExecutionsFailedAlarm")


def read_widgets() -> list[dict[str, Any]]:
    """Read the dashboard's widgets of a stack with the name glueworkshop, with every alarm."""
    body = deployed(NoArrivalHours=1)["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
    return list(json.loads(body)["widgets"])


def series(name: str) -> list[float]:
    """Invent the values of a metric; a name always gives the same ones."""
    if parts := SUMS.get(name):
        values = [sum(together) for together in zip(*map(series, parts), strict=True)]
        if name not in DELAYED:
            return values
        later = [values[0], *values[:-1]]
        return [all_of_them - failed for all_of_them, failed in zip(later, series("ExecutionsFailed"), strict=True)]
    level, spikes, dice = LEVELS.get(name, 0.0), SPIKES.get(name, {}), random.Random(name)  # noqa: S311 - made up
    values = []
    for point in range(POINTS):
        busy = 1 + 1.6 * math.exp(-(((point - 12) / 4) ** 2)) + 1.1 * math.exp(-(((point - 28) / 3) ** 2))
        values.append(round(level * busy * dice.uniform(0.8, 1.2)) + spikes.get(point, 0.0))
    return values


def lines(metrics: list[list[Any]]) -> Iterator[tuple[str, str, list[float], bool]]:
    """Return label, color, values and whether it is measured on the right, for each line of a widget."""
    colors = iter(COLORS * 3)
    for metric in metrics:
        options = metric[-1] if isinstance(metric[-1], dict) else {}
        if "expression" in options:
            found = re.search(r'MetricName="(\w+)"', options["expression"])
            for reason in SUMS.get(found[1], ()) if found else ():
                yield reason, next(colors), series(reason), False
            continue
        name = metric[1]
        label = options.get("label", name)
        bad = "Failed" in name or name == "Errors"
        color = options.get("color") or (RED if bad else next(colors))
        values = [0.0] * POINTS if metric[3] in IDLE else series(label if label in LEVELS else name)
        yield label, color, values, options.get("yAxis") == "right"


def draw_alarms(axes: Any, properties: dict[str, Any]) -> None:
    """Draw the alarms as boxes, in two rows."""
    names = [arn.removesuffix(".Arn") for arn in properties["alarms"]]
    columns = math.ceil(len(names) / 2)
    for position, name in enumerate(names):
        row, column = divmod(position, columns)
        alarmed = name in IN_ALARM
        axes.text(
            (column + 0.5) / columns,
            0.74 - row * 0.46,
            f"{name.removesuffix('Alarm')}\n{'In alarm' if alarmed else 'OK'}",
            ha="center",
            va="center",
            fontsize=10,
            color=RED if alarmed else GREEN,
            bbox={"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": RED if alarmed else GREEN},
        )
    axes.set_axis_off()


def draw_numbers(axes: Any, properties: dict[str, Any]) -> None:
    """Draw each metric's sum over the whole time as one number."""
    shown = list(lines(properties["metrics"]))
    for position, (label, color, values, _) in enumerate(shown):
        middle = (position + 0.5) / len(shown)
        axes.text(middle, 0.6, f"{round(sum(values)):,}", ha="center", va="center", fontsize=26, color=color)
        axes.text(middle, 0.2, label, ha="center", va="center", fontsize=11, color=GREY)
    axes.set_axis_off()


def draw_lines(axes: Any, properties: dict[str, Any]) -> None:
    """Draw metrics over time, with the second axis if a metric uses it."""
    minutes = [point * 5 for point in range(POINTS)]
    right = None
    for label, color, values, on_the_right in lines(properties["metrics"]):
        if on_the_right:
            right = right or axes.twinx()
            right.patch.set_visible(False)
            right.spines[:].set_visible(False)
            right.tick_params(labelsize=10, colors=GREY)
            right.plot(minutes, values, color=color, linewidth=1.2, linestyle="--")
            right.set_ylim(bottom=0, top=max(*values, 1) * 1.15)
            axes.plot([], [], color=color, linewidth=1.2, linestyle="--", label=f"{label} (right)")
        else:
            axes.plot(minutes, values, color=color, linewidth=1.6, label=label)
    axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1))
    axes.set_xlim(0, minutes[-1])
    axes.set_xticks(range(0, minutes[-1] + 1, 60), [f"{9 + hour}:00" for hour in range(4)])
    axes.tick_params(labelsize=10, colors=GREY)
    axes.grid(visible=True, color="#eaeded")
    axes.spines[["top", "right", "left"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=10, frameon=False)
    else:
        axes.text(minutes[-1] / 2, 0.5, "No data available", ha="center", va="center", fontsize=11, color=GREY)


DRAW = {"singleValue": draw_numbers, "timeSeries": draw_lines}


def main() -> None:
    """Draw every widget in its place on the dashboard."""
    widgets = read_widgets()
    rows = max(widget["y"] + widget["height"] for widget in widgets)
    figure = plt.figure(figsize=(COLUMNS * CELL, rows * CELL), facecolor="#f2f3f3")
    for widget in widgets:
        left, bottom = widget["x"] / COLUMNS, 1 - (widget["y"] + widget["height"]) / rows
        width, height = widget["width"] / COLUMNS, widget["height"] / rows
        gap = 0.15
        card = figure.add_axes(
            (left + gap / 2 / COLUMNS, bottom + gap / 2 / rows, width - gap / COLUMNS, height - gap / rows)
        )
        card.set(xticks=[], yticks=[])
        card.spines[:].set_color("#d5dbdb")
        properties = widget["properties"]
        card.set_title(properties["title"], loc="left", fontsize=13, fontweight="bold", y=1, pad=-19, x=0.015)
        plot = widget["type"] == "metric" and properties["view"] == "timeSeries"
        inset = card.inset_axes((0.1, 0.26, 0.8, 0.58) if plot else (0.01, 0.02, 0.98, 0.8))
        (DRAW[properties["view"]] if widget["type"] == "metric" else draw_alarms)(inset, properties)
    figure.savefig(PICTURE, dpi=80)


if __name__ == "__main__":
    main()
