"""What one would put together in an afternoon: the predictions the product is measured against."""

from collections.abc import Mapping, Sequence

import lightgbm
import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import MEASURES
from adbid.domain.posterior import ROOT_ALPHA, ROOT_BETA, beta_posterior, chain, own, prior_variances
from adbid.domain.replay import ABSENT, Log
from adbid.domain.response import TARGETS, ResponseParameters, roots
from functions.retrain.samples import History

Array = NDArray[np.float64]

_NAMES = list(TARGETS)
_SUCCESS = np.array([MEASURES.index(success) for success, _ in TARGETS.values()])
_TRIAL = np.array([MEASURES.index(trial) for _, trial in TARGETS.values()])


def undecayed(log: Log, first_row: int, parameters: ResponseParameters) -> dict[str, dict[str, Array]]:
    """Predictions for the rows from `first_row` on, each from all earlier days, which count alike for ever.

    By baseline and target: "cell_beta", the row's own cell with the prior Beta(3, 97) (for money, with the
    global mean worth as much); "hierarchical_no_decay", the whole chain with the product's strengths.
    """
    state = np.zeros((log.cell_count + 1, len(MEASURES)))
    cells: list[Array] = []
    chains: list[Array] = []
    for rows in log.steps():
        if rows.start >= first_row:
            sums = state[log.cells[rows]]  # [rows, levels, measures]; ABSENT reads the empty last cell
            cells.append(_cell(sums, log.cells[rows]))
            chains.append(_chain(sums, parameters))
        for level in log.cells[rows].T:
            seen = level != ABSENT
            np.add.at(state, level[seen], log.measures[rows][seen])
    return {
        name: dict(zip(_NAMES, np.concatenate(parts, axis=1), strict=True))
        for name, parts in (("cell_beta", cells), ("hierarchical_no_decay", chains))
    }


def _cell(sums: Array, cells: NDArray[np.intp]) -> Array:
    """[targets, rows] from the deepest cell each row has."""
    depth = np.where(cells != ABSENT, np.arange(len(LEVELS)), 0).max(axis=1)
    own = sums[np.arange(len(sums)), depth]
    everything = sums[:, 0]
    rates = []
    for name, success, trial in zip(_NAMES, _SUCCESS, _TRIAL, strict=True):
        alpha, beta = np.full(len(own), ROOT_ALPHA), np.full(len(own), ROOT_BETA)
        if name in ("revenue", "cost"):
            mean = everything[:, success] / np.maximum(everything[:, trial], 1.0)
            alpha, beta = mean * (ROOT_ALPHA + ROOT_BETA), (1.0 - mean) * (ROOT_ALPHA + ROOT_BETA)
        rates.append(beta_posterior(successes=own[:, success], trials=own[:, trial], alpha=alpha, beta=beta))
    return np.array(rates)


def _chain(sums: Array, parameters: ResponseParameters) -> Array:
    """[targets, rows]: the posterior chain on undecayed sums."""
    successes = np.ascontiguousarray(sums[:, :, _SUCCESS].transpose(1, 2, 0))
    trials = np.ascontiguousarray(sums[:, :, _TRIAL].transpose(1, 2, 0))
    variances = prior_variances(parameters.strength_array.T, trials)
    means: Array = chain(own(successes), own(trials), variances, roots(successes[0], trials[0]))[0][-1]
    return means


def lightgbm_on_categories(
    history: History, targets: Sequence[str], cuts: Sequence[tuple[int, int, int]]
) -> Mapping[str, Array]:
    """LightGBM with squared loss on the ids as categories, weighted by exposure; by target.

    cuts: (end of training rows, first and last + 1 predicted row) of each refit.
    """
    present = [name for name in LEVELS[1:] if len(history.columns[name].values) > 1]
    codes = np.stack([history.columns[name].codes for name in present], axis=1).astype(np.float64)
    predictions: dict[str, list[Array]] = {target: [] for target in targets}
    for target in targets:
        success, trial = TARGETS[target]
        outcome = history.log.measures[:, MEASURES.index(success)]
        exposure = history.log.measures[:, MEASURES.index(trial)]
        for end, first, last in cuts:
            rows = np.flatnonzero(exposure[:end] > 0)
            data = lightgbm.Dataset(
                codes[rows],
                label=outcome[rows] / exposure[rows],
                weight=exposure[rows] / exposure[rows].mean(),
                categorical_feature=list(range(len(present))),
            )
            settings = {
                "objective": "regression",
                "max_depth": 6,
                "num_threads": 2,
                "deterministic": True,
                "force_row_wise": True,
                "seed": 1,
                "verbosity": -1,
            }
            booster = lightgbm.train(settings, data, num_boost_round=200)
            predictions[target].append(np.maximum(np.asarray(booster.predict(codes[first:last])), 1e-9))
    return {target: np.concatenate(parts) for target, parts in predictions.items()}
