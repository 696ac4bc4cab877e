"""Sharing impressions among advertisers with capacities, one impression at a time, beside simpler ways.

    python -m benchmarks.allocation --folder adx_allocation/pub1 --json out.json

The data of Balseiro, Feldman, Mirrokni & Muthukrishnan, "Yield optimization of display advertising with ad
exchange", Management Science 60 (2014). A capacity is a budget in impressions, each costs 1, and what one is
worth to an advertiser is its revenue. Tuned and solved on the first half, run over the second.

The other order of the second half: its impressions in ten blocks by the value that the advertiser with the
largest capacity gives them, least first; within a block as they came.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog  # type: ignore[import-untyped]
from scipy.sparse import coo_matrix  # type: ignore[import-untyped]

from adbid.domain.duals import Anchor, Descent, Duals, Observation, standard_error, update
from adbid.domain.planning import Goals, Opportunities, solve
from adbid.domain.strategy import portfolio_score

Array = NDArray[np.float64]

PARTS = 10
"""Of the first half, solved by themselves: how far prices stray."""

BLOCKS = 10
PLAIN_STEP = 0.005


class NotTheData(ValueError):
    """The folder's files aren't values and capacities that belong together."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="holds values.csv.gz and capacity.csv")
    parser.add_argument("--json", type=Path, help="where to write the result")
    parser.add_argument("--picture", type=Path, help="where to draw it (PNG)")
    options = parser.parse_args(arguments)
    try:
        values, ratio = load(options.folder)
    except FileNotFoundError as error:
        print(f"There is no file {error.filename}. Give the data's place with --folder.", file=sys.stderr)
        return 2
    except (OSError, ValueError) as error:
        print(f"Can't read {options.folder}: {error}", file=sys.stderr)
        return 2
    result = measure(values, ratio)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if options.picture:
        draw(options.picture, options.folder.name, result)
    return 0


def load(folder: Path) -> tuple[Array, Array]:
    """Values [impressions, advertisers], 0 where not eligible, and capacities as shares of impressions."""
    for name in ("values.csv.gz", "capacity.csv"):
        if not (folder / name).exists():
            raise FileNotFoundError(2, "no such file", str(folder / name))
    values = np.loadtxt(folder / "values.csv.gz", delimiter=",", ndmin=2)
    ratio = np.loadtxt(folder / "capacity.csv", delimiter=",", skiprows=1, ndmin=2)[:, 1]
    if values.shape[1] != len(ratio) or len(values) < 2 * PARTS:
        raise NotTheData("one capacity for every column of values")
    return values, ratio


def measure(values: Array, ratio: Array) -> dict[str, Any]:
    """The result's JSON. The LP's answer doesn't depend on the order."""
    half = len(values) // 2
    past, future = values[:half], values[half : 2 * half]
    capacity = np.floor(ratio * half)
    planner, _ = hindsight(future, capacity)
    _, static = hindsight(past, capacity)
    result = play(past, future, capacity, planner, static)
    largest = int(np.argmax(capacity))
    place = np.empty(half, dtype=np.intp)
    place[np.argsort(future[:, largest], kind="stable")] = np.arange(half)
    blocks = future[np.lexsort((np.arange(half), place * BLOCKS // half))]
    return {**result, "nonstationary": play(past, blocks, capacity, planner, static)}


def play(past: Array, future: Array, capacity: Array, planner: float, static: Array) -> dict[str, Any]:
    """Rewards over the planner's: the product's and its peers'."""
    nothing = np.zeros(len(capacity))
    reward, used = product(past, future, capacity)
    others = {
        "greedy": run(future, capacity, nothing),
        "dual_mirror_descent": run(future, capacity, nothing, _plain(len(future), capacity, static.max())),
        "static_dual": run(future, capacity, static),
        "tracking_dual_descent": run(future, capacity, static, _tracking(len(future), capacity, static)),
    }
    return {
        "product": {
            "reward_over_lp": round(reward / planner, 5),
            "overspend": int(np.maximum(used - capacity, 0.0).sum()),
        },
        "peers": {name: round(float(value / planner), 5) for name, (value, _) in others.items()},
    }


def product(past: Array, future: Array, capacity: Array) -> tuple[float, Array]:
    """Reward and impressions used [advertisers]: solved on the past, then updated after each impression."""
    anchor = plan(past, capacity)
    descent = Descent()
    count, horizon = len(capacity), len(future)
    ones, nothing = np.ones(count), np.zeros(count)
    duals, used, reward = anchor.duals, np.zeros(count), 0.0
    for number in range(horizon):
        worth = portfolio_score(future[number], ones, duals.lambda_(nothing), duals.weight)
        worth = np.where((future[number] > 0.0) & (used + 1.0 <= capacity), worth, 0.0)
        best = int(np.argmax(worth))
        spent = np.zeros(count)
        if worth[best] > 0.0:
            spent[best] = 1.0
            reward += float(future[number, best])
        left = horizon - number
        seen = Observation(
            share=np.full(count, 1.0 / left),
            left=np.full(count, left / horizon),
            budget=capacity,
            spent=spent,
            cost=nothing,
            revenue=nothing,
            spent_before=used,
            slack_before=nothing,
            target=nothing,
        )
        duals = update(duals, anchor, seen, descent)
        used = used + spent
    return reward, used


def plan(past: Array, capacity: Array) -> Anchor:
    """The nightly solve: prices of the first half, and how sure they are."""
    start = Duals(np.zeros(len(capacity)), np.zeros(len(capacity)))
    whole = _solve(past, capacity, start)
    parts = [_solve(part, capacity / PARTS, whole).mu for part in np.array_split(past, PARTS)]
    scale = np.maximum(whole.mu, 0.05 * whole.mu.max())
    return Anchor(whole, standard_error(np.array(parts)), scale, capacity)


def _solve(values: Array, capacity: Array, start: Duals) -> Duals:
    impression, advertiser = np.nonzero(values > 0.0)
    ones, nothing = np.ones(len(impression)), np.zeros(len(capacity))
    rows = Opportunities(
        brand=advertiser,
        slot=impression,
        amount=ones,
        revenue=values[impression, advertiser],
        cost=ones,
        capacity=np.ones(len(values)),
        brands=len(capacity),
    )
    return solve(rows, Goals(capacity, nothing, nothing), start)


def run(
    values: Array,
    capacity: Array,
    price: Array,
    move: Callable[[Array, Array, Array, int], Array] | None = None,
) -> tuple[float, Array]:
    """A peer: each impression to the highest value less price; `move` is the next price."""
    left, reward = capacity.copy(), 0.0
    for number, value in enumerate(values):
        worth = np.where((left >= 1.0) & (value > 0.0), value - price, 0.0)
        best = int(np.argmax(worth))
        won = np.zeros(len(capacity))
        if worth[best] > 0.0:
            won[best] = 1.0
            reward += float(value[best])
        if move is not None:
            price = move(price, won, left, number)
        left = left - won
    return reward, capacity - left


def _plain(horizon: int, capacity: Array, scale: float) -> Callable[[Array, Array, Array, int], Array]:
    """Dual mirror descent with squared distance, from 0, towards an even rate (Balseiro, Lu & Mirrokni)."""
    rate = capacity / horizon
    return lambda price, won, left, number: np.maximum(price - PLAIN_STEP * scale * (rate - won), 0.0)


def _tracking(horizon: int, capacity: Array, start: Array) -> Callable[[Array, Array, Array, int], Array]:
    """From the static dual, towards the rate that what is left allows: nothing holds the price back."""
    step = 0.01 * np.maximum(start, 0.05 * start.max())
    return lambda price, won, left, number: np.maximum(price - step * (left / (horizon - number) - won), 0.0)


def hindsight(values: Array, capacity: Array) -> tuple[float, Array]:
    """The most that could be earned, knowing everything (HiGHS), and the capacities' prices."""
    impression, advertiser = np.nonzero(values > 0.0)
    worth = values[impression, advertiser]
    number = np.arange(len(worth))
    matrix = coo_matrix(
        (
            np.ones(2 * len(worth)),
            (np.concatenate([impression, len(values) + advertiser]), np.concatenate([number, number])),
        ),
        shape=(len(values) + len(capacity), len(worth)),
    ).tocsr()
    limits = np.concatenate([np.ones(len(values)), capacity])
    found = linprog(-worth, A_ub=matrix, b_ub=limits, bounds=(0, 1), method="highs")
    if not found.success:
        raise RuntimeError(f"the hindsight LP has no answer: {found.message}")
    return float(-found.fun), -found.ineqlin.marginals[len(values) :]


def draw(path: Path, name: str, result: dict[str, Any]) -> None:
    """The rewards as a picture."""
    from benchmarks.steering_pictures import bars

    orders = {"as it came": result, "in blocks": result["nonstationary"]}
    rewards = {
        order: {"product": found["product"]["reward_over_lp"], **found["peers"]}
        for order, found in orders.items()
    }
    bars(path, f"Allocation of impressions, {name}", rewards)


def table(result: dict[str, Any]) -> str:
    """Rewards over the LP's as text."""
    other = result["nonstationary"]
    lines = [f"{'reward / hindsight LP':24}{'as it came':>12}{'in blocks':>12}"]
    shown = (result["product"]["reward_over_lp"], other["product"]["reward_over_lp"])
    lines.append(f"{'product':24}{shown[0]:12.4f}{shown[1]:12.4f}")
    for name, value in result["peers"].items():
        lines.append(f"{name:24}{value:12.4f}{other['peers'][name]:12.4f}")
    over = result["product"]["overspend"], other["product"]["overspend"]
    return "\n".join([*lines, f"{'overspend':24}{over[0]:12d}{over[1]:12d}"])


if __name__ == "__main__":
    sys.exit(main())
