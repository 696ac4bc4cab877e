"""Reliability and lift curves of predicted rates, as a PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from adbid.domain.decay import MEASURES
from adbid.domain.response import TARGETS
from benchmarks.metrics import reliability

mpl.use("Agg")  # a picture in a file needs no display
from matplotlib import pyplot

Array = NDArray[np.float64]


def draw(
    path: Path, targets: Sequence[str], measures: Array, predictions: Mapping[str, Mapping[str, Array]]
) -> None:
    """Writes to `path`: above, observed against predicted rate in bins of equal exposure; below, the share of
    what happened that the best-predicted share of the exposure holds. `measures`: [test rows, measures]."""
    figure, axes = pyplot.subplots(2, len(targets), figsize=(4.5 * len(targets), 8.5), squeeze=False)
    for column, target in enumerate(targets):
        success, trial = (MEASURES.index(measure) for measure in TARGETS[target])
        shown = measures[:, trial] > 0
        outcome, exposure = measures[shown, success], measures[shown, trial]
        calibration, lift = axes[:, column]
        for name, rates in predictions.items():
            if target not in rates:
                continue
            rate = rates[target][shown]
            predicted, observed, _ = reliability(outcome, exposure, rate)
            calibration.plot(predicted, observed, marker="o", markersize=3, label=name)
            order = np.argsort(-rate, kind="stable")
            held = np.cumsum(outcome[order]) / outcome.sum()
            lift.plot(np.cumsum(exposure[order]) / exposure.sum(), held, label=name)
        calibration.axline((0, 0), slope=1, color="grey", linewidth=0.7)
        calibration.set(title=f"{target}: reliability", xlabel="predicted", ylabel="observed")
        lift.axline((0, 0), slope=1, color="grey", linewidth=0.7)
        lift.set(title=f"{target}: lift", xlabel="share of exposure", ylabel="share of outcome")
        lift.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
