"""How ways of steering compare, as a PNG."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # a picture in a file needs no display
from matplotlib import pyplot

LEAST = -0.2
"""Worse is shown as this."""


def bars(path: Path, title: str, groups: Mapping[str, Mapping[str, float]]) -> None:
    """Writes to `path`: of each group, what share of hindsight's each way to steer earns."""
    ways = list(next(iter(groups.values())))
    figure, axis = pyplot.subplots(figsize=(9, 1.5 + 0.5 * len(ways)), layout="constrained")
    height = 0.8 / len(groups)
    places = np.arange(len(ways))
    for number, (group, values) in enumerate(groups.items()):
        found = [values[way] for way in ways]
        shown = axis.barh(places + number * height, np.maximum(found, LEAST), height, label=group)
        axis.bar_label(shown, [f"{value:.3f}" for value in found], fontsize=7, padding=2)
    axis.set(title=title, xlabel="of what hindsight earns", xlim=(LEAST - 0.15, 1.12))
    axis.set_yticks(places + 0.4 - height / 2, [way.replace("_", " ") for way in ways])
    axis.axvline(1.0, color="grey", linewidth=0.7)
    axis.invert_yaxis()
    figure.legend(fontsize=8, loc="outside lower center", ncols=len(groups))
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
