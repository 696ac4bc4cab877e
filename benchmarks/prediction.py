"""How well the product predicts days it has not seen, beside what one would build in an afternoon.

    python -m benchmarks.prediction --dataset publisher_revenue --file LOG.csv.gz \\
        --train-to 2019-06-16 --test-from 2019-06-17 --test-to 2019-06-23 --json out.json

Predictions are prequential: a day's rows are predicted from earlier days alone, models are refitted weekly.
The product's run through its artefact and its numpy evaluation, as in the score function.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import MEASURES
from adbid.domain.drift import follow
from adbid.domain.learned import LearnedParameters
from adbid.domain.learning import learn
from adbid.domain.replay import ABSENT, Log, Step, replay
from adbid.domain.response import TARGETS, respond
from adbid.ml.artefact import Artefact, load
from adbid.ml.features import Vocabulary, encode, feature_matrix
from adbid.ml.revenue import ENSEMBLE, RevenueModel
from benchmarks.baselines import lightgbm_on_categories, undecayed
from benchmarks.datasets import DATASETS, day_number
from benchmarks.datasets import load as load_dataset
from benchmarks.metrics import Scores, evaluate
from functions.retrain.fit import artefact, fit
from functions.retrain.samples import History

Array = NDArray[np.float64]
Predictions = dict[str, Array]

REFIT_DAYS = 7
TRAINING_DAYS = 30
"""The retrain function reads as many."""

THINNED = (0.0005, 0.005)
THINNED_DRAWS = 5
"""Thinned logs are drawn so many times, with fixed seeds; scores are means over them."""


@dataclass(frozen=True)
class Split:
    """Days as numbers: trained on before `train_end`, tested from `first` up to, not including, `end`."""

    train_end: float
    first: float
    end: float

    def refits(self) -> list[tuple[float, float, float]]:
        """(training end, first and last + 1 day predicted with it), weekly from the first test day on."""
        starts = np.arange(self.first, self.end, REFIT_DAYS)
        ends = [*starts[1:], self.end]
        return [
            (self.train_end if i == 0 else float(start), float(start), float(end))
            for i, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        history = load_dataset(options.dataset, options.file)
    except FileNotFoundError:
        print(f"There is no file {options.file}. Give the log's place with --file.", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(f"Can't read {options.file}: {error}", file=sys.stderr)
        return 2
    split = Split(
        day_number(options.train_to) + 1.0, day_number(options.test_from), day_number(options.test_to) + 1.0
    )
    history = history.between(-np.inf, split.end)
    days = history.log.days
    if not (len(days) and days[0] < split.train_end and days[-1] >= split.first):
        print("The file has no days to train on, or none to test on.", file=sys.stderr)
        return 2
    result, predictions = measure(history, DATASETS[options.dataset].targets, split)
    if options.dataset == "online_advertising":
        result["thinned"] = thinned(history, split)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
        measures = history.log.between(split.first, split.end).measures
        _picture(options.json.with_suffix(".png"), list(result["targets"]), measures, predictions)
    return 0


def measure(
    history: History, targets: Sequence[str], split: Split
) -> tuple[dict[str, Any], dict[str, Predictions]]:
    """The result's JSON, and every predictor's predictions of the test rows, by target."""
    log = history.log
    first = int(np.searchsorted(log.days, split.first))
    rows = [np.searchsorted(log.days, boundaries).tolist() for boundaries in split.refits()]
    cuts = [(past, begin, end) for past, begin, end in rows if end > begin]
    product, fits, parameters = predict(history, split)
    predictions = {
        "product": product,
        **undecayed(log, first, parameters.response),
        "lightgbm_l2": dict(lightgbm_on_categories(history, targets, cuts)),
    }
    return {"targets": _score(log, log, first, targets, predictions), "fits": fits}, predictions


def predict(history: History, split: Split) -> tuple[Predictions, list[Any], LearnedParameters]:
    """The product's predictions of the test rows by target, what each refit reports, the last parameters."""
    found: dict[str, list[Array]] = {target: [] for target in TARGETS}
    fits = []
    for train_end, first, end in split.refits():
        fitted = fit(history.between(train_end - TRAINING_DAYS, train_end))
        fits.append(fitted.report)
        model = load(artefact(fitted))
        parameters = LearnedParameters.from_json(model.metadata["parameters"])
        for step in replay(history.log.between(-np.inf, end)):
            if step.day >= first:
                rates = _rates(history, step, parameters, model)
                for target in TARGETS:
                    found[target].append(rates[target])
    return {target: np.concatenate(parts) for target, parts in found.items()}, fits, parameters


def _rates(history: History, step: Step, parameters: LearnedParameters, model: Artefact) -> Predictions:
    """One step's predictions, made as the score function makes them."""
    base = respond(step.evidence, parameters.response)
    current = follow(step.evidence, base, parameters.drift)
    revenue = current.revenue
    if ENSEMBLE in model.ensembles:
        constants = model.metadata["revenue"]
        trees = RevenueModel(model.ensembles[ENSEMBLE], constants["weight"], constants["bias"])
        columns = {name: _strings(history, name, step.rows) for name in (*LEVELS[1:], "pricing_model")}
        inputs = encode(
            Vocabulary.from_json(model.metadata["vocabulary"]),
            columns,
            placement_score=history.placement_score[step.rows],
            partner_quality=history.partner_quality[step.rows],
            hour=history.hour[step.rows],
            day_of_week=history.day_of_week[step.rows],
        )
        revenue = trees.predict(feature_matrix(inputs, step.evidence, base, current), current)
    return {"ctr": current.ctr, "cvr": current.cvr, "revenue": revenue, "cost": current.cost}


def _strings(history: History, name: str, rows: slice) -> list[str]:
    column = history.columns[name]
    return [column.values[code] if code != ABSENT else "" for code in column.codes[rows].tolist()]


def thinned(history: History, split: Split) -> dict[str, Any]:
    """Click-through predicted from logs that hold only a share of the impressions, scored on all of them."""
    first = int(np.searchsorted(history.log.days, split.first))
    result = {}
    for share in THINNED:
        draws = []
        for seed in range(THINNED_DRAWS):
            part = replace(history, log=_thin(history.log, share, seed))
            seen = part.between(split.train_end - TRAINING_DAYS, split.train_end).log
            parameters = learn(seen)
            current = [
                follow(step.evidence, respond(step.evidence, parameters.response), parameters.drift).ctr
                for step in replay(part.log)
                if step.day >= split.first
            ]
            others = undecayed(part.log, first, parameters.response)
            predictions = {"product": {"ctr": np.concatenate(current)}, **others}
            draws.append(_score(history.log, part.log, first, ["ctr"], predictions)["ctr"])
        result[f"{share:g}"] = {"ctr": _mean(draws)}
    return result


def _thin(log: Log, share: float, seed: int) -> Log:
    """The log as if only a share of the impressions, drawn at random, had been bought."""
    random = np.random.default_rng(seed)
    impressions, clicks = log.measures[:, 0].astype(np.int64), log.measures[:, 1].astype(np.int64)
    clicked = random.binomial(clicks, share)
    kept = clicked + random.binomial(impressions - clicks, share)
    measures = log.measures * (kept / impressions)[:, None]
    measures[:, 0], measures[:, 1] = kept, clicked
    measures[:, 2] = random.binomial(log.measures[:, 2].astype(np.int64), share)
    return replace(log, measures=measures)


def _score(
    truth: Log, known: Log, first: int, targets: Sequence[str], predictions: Mapping[str, Predictions]
) -> dict[str, Any]:
    """Scores by target of the rows from `first` on; the null model is the rate before them."""
    result = {}
    for target in targets:
        success, trial = (MEASURES.index(measure) for measure in TARGETS[target])
        before = truth.measures[:first].sum(axis=0)
        null = float(before[success] / before[trial])
        earlier = known.measures[:first].sum(axis=0)
        mean = float(earlier[success] / earlier[trial])
        outcome, exposure = truth.measures[first:, success], truth.measures[first:, trial]

        def scores(
            rate: Array,
            outcome: Array = outcome,
            exposure: Array = exposure,
            null: float = null,
            binomial: bool = target == "ctr",
        ) -> dict[str, float]:
            return evaluate(outcome, exposure, rate, null, binomial=binomial).to_json()

        baselines = {"global_mean": scores(np.full(len(outcome), mean))}
        baselines |= {
            name: scores(rates[target])
            for name, rates in predictions.items()
            if name != "product" and target in rates
        }
        result[target] = {"product": scores(predictions["product"][target]), "baselines": baselines}
    return result


def _mean(draws: Sequence[Any]) -> Any:
    """The mean of equally shaped JSON values."""
    if isinstance(draws[0], dict):
        return {name: _mean([draw[name] for draw in draws]) for name in draws[0]}
    return round(float(np.mean(draws)), 6)


def table(result: Mapping[str, Any]) -> str:
    """The result as text."""
    lines = [f"{'':34}{'D2':>8}{'wMAE':>8}{'calib.':>8}{'ECE':>8}"]
    groups = {"": result["targets"]} | {
        f" at {float(share):.2%} of the impressions": targets
        for share, targets in result.get("thinned", {}).items()
    }
    for suffix, targets in groups.items():
        for target, scores in targets.items():
            lines.append(f"{target}{suffix}")
            for name, values in {"product": scores["product"], **scores["baselines"]}.items():
                numbers = "".join(f"{values[key]:8.3f}" for key in Scores.__annotations__)
                lines.append(f"  {name:32}{numbers}")
    return "\n".join(lines)


def _picture(
    path: Path, targets: Sequence[str], measures: Array, predictions: Mapping[str, Predictions]
) -> None:
    try:
        from benchmarks.pictures import draw
    except ImportError as error:
        print(f"No picture: {error}.", file=sys.stderr)
    else:
        draw(path, targets, measures, predictions)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.prediction", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--dataset", required=True, choices=sorted(DATASETS))
    parser.add_argument("--file", required=True, type=Path, help="the log, .csv or .csv.gz")
    parser.add_argument("--train-to", required=True, type=date.fromisoformat, metavar="DATE", help="last day")
    parser.add_argument("--test-from", required=True, type=date.fromisoformat, metavar="DATE")
    parser.add_argument("--test-to", required=True, type=date.fromisoformat, metavar="DATE", help="last day")
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="writes the result, and OUT's .png beside it"
    )
    options = parser.parse_args(arguments)
    if not options.train_to < options.test_from <= options.test_to:
        parser.error("the days must be in order: train-to before test-from, test-from up to test-to")
    return options


if __name__ == "__main__":
    sys.exit(main())
