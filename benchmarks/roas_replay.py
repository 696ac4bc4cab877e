"""Steering to budgets and ROAS targets on an advertiser's log, day by day, beside simpler ways.

    python -m benchmarks.roas_replay --file LOG.csv.gz --test-from 2020-05-17 --json out.json
    python -m benchmarks.roas_replay --file LOG.csv.gz --test-from 2020-05-17 --starts 8

One horizon, from --test-from to the log's last day (or --test-to). Predictions are made each morning from
earlier days alone, and prices move once a day. With --starts, instead of the test days, horizons that end
before --test-from are played, as they were and with revenue that falls: what tuning may look at.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets import day_number, load
from benchmarks.roas_market import SETTINGS, Market, Shock, hindsight, market, play
from benchmarks.roas_policies import Steered, peers
from functions.retrain.samples import History

DATASET = "online_advertising"
WINDOW_DAYS = 15
FIRST_START_AFTER = 10
"""Days of the log that come before the first start tried."""

SHOCKS: Mapping[str, Shock | None] = {
    "as it was": None,
    "halves overnight": Shock(revenue=lambda day: 0.5),
    "halves in ten days": Shock(revenue=lambda day: max(0.5, 1.0 - 0.05 * day)),
    "halves after a week": Shock(revenue=lambda day: 1.0 if day < 7 else 0.5),
    "falls and rises": Shock(revenue=lambda day: 1.0 if day < 3 else 0.55 if day < 9 else 1.2),
    "traffic halves": Shock(traffic=lambda day: 1.0 if day < 4 else 0.5),
    "traffic doubles": Shock(traffic=lambda day: 1.0 if day < 4 else 2.0),
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        history = load(DATASET, options.file)
    except FileNotFoundError:
        print(f"There is no file {options.file}. Give the log's place with --file.", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(f"Can't read {options.file}: {error}", file=sys.stderr)
        return 2
    days = history.log.days
    first = day_number(options.test_from)
    end = (
        day_number(options.test_to) + 1.0 if options.test_to else float(days[-1]) + 1.0 if len(days) else 0.0
    )
    if not (len(days) and days[0] < first < end and days[-1] >= first):
        print("The file has no days before the test days, or no test days.", file=sys.stderr)
        return 2
    result = many(history, first, options.starts) if options.starts else measure(market(history, first, end))
    print(many_table(result) if options.starts else table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if options.picture and not options.starts:
        draw(options.picture, f"ROAS replay from {options.test_from}", result)
    return 0


def measure(days: Market) -> dict[str, Any]:
    """Every setting: the product and its peers, and the product's mean and worst penalised value."""
    settings: list[dict[str, Any]] = []
    for setting in SETTINGS:
        budget = days.budget(setting)
        planner = hindsight([day.today for day in days.test], setting, budget)
        product = play(days.test, setting, budget, planner, Steered(days, setting))
        settings.append(
            {
                "budget": setting.budget,
                "tau": setting.target,
                "capacity": setting.capacity,
                "kappa": round(planner.penalty, 3),
                "product": product.to_json(),
                "peers": {name: peer.to_json() for name, peer in peers(days, setting, planner).items()},
            }
        )
    values = [setting["product"]["penalised"] for setting in settings]
    return {"settings": settings, "mean": round(float(np.mean(values)), 4), "worst": min(values)}


def many(history: History, before: float, starts: int) -> dict[str, Any]:
    """By shock: each policy's mean and worst penalised value over horizons that end before `before`."""
    first = float(history.log.days[0]) + FIRST_START_AFTER
    chosen = np.unique(np.floor(np.linspace(first, before - WINDOW_DAYS, starts)))
    found = {}
    for name, shock in SHOCKS.items():
        outcomes: dict[str, list[float]] = {}
        for start in chosen.tolist():
            result = measure(market(history, start, start + WINDOW_DAYS, shock))
            for setting in result["settings"]:
                for policy, outcome in (("product", setting["product"]), *setting["peers"].items()):
                    outcomes.setdefault(policy, []).append(outcome["penalised"])
        found[name] = {
            policy: {"mean": round(float(np.mean(values)), 4), "worst": min(values)}
            for policy, values in outcomes.items()
        }
    return found


def table(result: dict[str, Any]) -> str:
    """The penalised values as text, settings across."""
    settings = result["settings"]
    heads = [f"{s['budget']:g}/{s['tau']:g}/{s['capacity']:g}" for s in settings]
    lines = [f"{'':22}" + "".join(f"{head:>14}" for head in heads) + f"{'mean':>10}{'worst':>10}"]
    for name in ("product", *settings[0]["peers"]):
        outcomes = [s["product"] if name == "product" else s["peers"][name] for s in settings]
        values = [outcome["penalised"] for outcome in outcomes]
        cells = "".join(f"{o['penalised']:7.3f}({o['worst_violation']:5.3f})" for o in outcomes)
        lines.append(f"{name:22}{cells}{np.mean(values):10.3f}{min(values):10.3f}")
    return "\n".join([*lines, "penalised value ÷ hindsight LP (worst violation of a target)"])


def draw(path: Path, title: str, result: dict[str, Any]) -> None:
    """The penalised values as a picture."""
    from benchmarks.steering_pictures import bars

    values = {
        f"budget {one['budget']:g}, τ {one['tau']:g}, capacity {one['capacity']:g}": {
            name: outcome["penalised"]
            for name, outcome in {"product": one["product"], **one["peers"]}.items()
        }
        for one in result["settings"]
    }
    bars(path, title, values)


def many_table(result: dict[str, Any]) -> str:
    """Mean / worst, shocks across."""
    lines = [f"{'':22}" + "".join(f"{name:>22}" for name in result)]
    for policy in next(iter(result.values())):
        cells = (f"{found[policy]['mean']:.3f} / {found[policy]['worst']:.3f}" for found in result.values())
        lines.append(f"{policy:22}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--file", type=Path, required=True, help="the log, CSV or gzipped CSV")
    parser.add_argument("--test-from", type=date.fromisoformat, required=True)
    parser.add_argument("--test-to", type=date.fromisoformat, help="the last test day; default: the log's")
    parser.add_argument("--starts", type=int, default=0, help="play so many earlier horizons instead")
    parser.add_argument("--json", type=Path, help="where to write the result")
    parser.add_argument("--picture", type=Path, help="where to draw it (PNG); not with --starts")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
