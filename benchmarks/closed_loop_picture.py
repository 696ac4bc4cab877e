"""A closed loop's run over time, as a PNG."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from adbid.domain.money import MICROS
from benchmarks.closed_loop_figures import HOUR, Run, violated_hours
from benchmarks.closed_loop_market import HALVED

mpl.use("Agg")  # a picture in a file needs no display
from matplotlib import pyplot
from matplotlib.axes import Axes

Array = NDArray[np.float64]


def draw(path: Path, run: Run) -> None:
    """Four pictures over the days of the run: spend, pacing, prices and violations, the halved brand."""
    figure, axes = pyplot.subplots(4, 1, figsize=(11, 13), sharex=True)
    time = np.arange(0.5, run.market.scale.minutes / HOUR) / 24.0
    _spend(axes[0], run, time)
    _pacing(axes[1], run, time)
    _prices(axes[2], run, time)
    _halved(axes[3], run, time)
    first, end = run.market.scale.shock
    for one in axes:
        one.axvspan(first / HOUR / 24, end / HOUR / 24, color="orange", alpha=0.15)
        one.legend(fontsize=8, loc="upper right")
        one.grid(alpha=0.3)
    axes[-1].set(xlabel="day (UTC); shaded: demand is shaken")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _spend(axis: Axes, run: Run, time: Array) -> None:
    cost = run.recorded.expected_cost.sum(axis=1).reshape(-1, HOUR).sum(axis=1)
    revenue = run.recorded.expected_revenue.sum(axis=1).reshape(-1, HOUR).sum(axis=1)
    axis.plot(time, revenue, label="expected revenue of what was bought")
    axis.plot(time, cost, label="its expected cost")
    axis.set(title="Portfolio, per hour", ylabel="money", ylim=(0, None))


def _pacing(axis: Axes, run: Run, time: Array) -> None:
    limited = run.market.brands.budget >= 0
    budget = run.market.brands.budget[limited] / MICROS
    gone = run.recorded.committed[HOUR - 1 :: HOUR, limited] / budget
    ahead = gone - run.recorded.share[HOUR - 1 :: HOUR, limited]
    for share, style in ((0.9, ":"), (0.5, "-"), (0.1, ":")):
        axis.plot(time, np.quantile(ahead, share, axis=1), style, color="C0", label=f"{share:.0%} of brands")
    axis.axhline(0.0, color="grey", linewidth=0.7)
    axis.set(title="Budget gone less traffic gone, brands with a budget", ylabel="share of the day's budget")


def _prices(axis: Axes, run: Run, time: Array) -> None:
    recorded, target = run.recorded, run.market.brands.target
    price = recorded.price[HOUR - 1 :: HOUR] / target
    for share, style in ((0.9, ":"), (0.5, "-"), (0.1, ":")):
        axis.plot(time, np.quantile(price, share, axis=1), style, color="C2", label=f"λ/τ, {share:.0%}")
    axis.plot(time, violated_hours(run).mean(axis=1), color="C3", label="share of brands below target")
    axis.plot(time, recorded.alert[HOUR - 1 :: HOUR].mean(axis=1), color="C1", label="share with an alert")
    axis.set(title="Prices, and ROAS of the last 24 hours' purchases at the true rates", ylim=(0, 2))


def _halved(axis: Axes, run: Run, time: Array) -> None:
    recorded = run.recorded
    revenue, cost = (
        np.convolve(one[:, HALVED].reshape(-1, HOUR).sum(axis=1), np.ones(6), "full")[: len(time)]
        for one in (recorded.expected_revenue, recorded.expected_cost)
    )
    axis.plot(time, np.where(cost > 0, revenue / np.maximum(cost, 1e-9), np.nan), label="ROAS, last 6 hours")
    axis.plot(time, recorded.roas[HOUR - 1 :: HOUR, HALVED], label="ROAS as the monitor sees it")
    axis.plot(time, recorded.price[HOUR - 1 :: HOUR, HALVED], label="λ")
    axis.axhline(float(run.market.brands.target[HALVED]), color="grey", linewidth=1.0, label="target")
    axis.axvline(run.market.scale.halved_from / HOUR / 24, color="red", linewidth=1.0)
    axis.set(title="A brand whose conversion rate halves at the red line", ylabel="ROAS", ylim=(0, 6))
