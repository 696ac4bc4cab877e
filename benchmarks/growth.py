"""How cost grows: a score's with bids, brands and slots, reports' with history, a retrain's with rows.

    python -m benchmarks.growth --reports 100k.json 1m.json 10m.json --retrain retrain.json \
        --json growth.json --picture docs/performance-growth.png

Scores are measured here, through the function's own handler on the market of `benchmarks.score_market`: sizes
take turns, so that what else the machine does hits all alike. Of what takes minutes, the files that
`benchmarks.reporting` and `benchmarks.retrain` wrote are drawn. `--scores` draws a growth.json of before.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

BIDS = (1, 3, 10, 30, 100, 300, 1_000)
BRANDS = (1, 3, 10, 30, 100)
SLOTS = (1, 3, 10, 30, 100)
BUNDLE = 100  # bids, where it is brands or slots that grow
REPORTS = {
    "vpi, all, 30 days": "value per impression, all, 30 days",
    "vpi, a brand, 30 days": "value per impression, a brand, 30 days",
    "roas, any place": "ROAS of a place, 30 days",
    "roas, the busiest, a device": "ROAS of the busiest place, one device",
    "evidence without Redis, 1 bid": "evidence without Redis, 1 bid",
    "evidence without Redis, 100 bids": "evidence without Redis, 100 bids",
}

Curve = dict[str, float]
"""Milliseconds by size: of the fastest call, which says least about what else the machine was doing."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--reports", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--retrain", type=Path, metavar="FILE")
    parser.add_argument("--scores", type=Path, metavar="FILE", help="don't measure, take these")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--picture", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    scores = json.loads(options.scores.read_text()) if options.scores else measure(options.rounds)
    for name, curve in scores.items():
        print(f"{name:6}", ", ".join(f"{size}: {ms:g} ms" for size, ms in curve.items()))
    if options.json:
        options.json.write_text(json.dumps(scores, indent=2) + "\n")
    if options.picture:
        reports = [json.loads(path.read_text()) for path in options.reports]
        retrain = json.loads(options.retrain.read_text()) if options.retrain else []
        draw(options.picture, scores, sorted(reports, key=lambda one: one["rows"]), retrain)
    return 0


def measure(rounds: int) -> dict[str, Curve]:
    """What a score takes, by how many bids, brands and slots it is about."""
    from benchmarks.score import quiet
    from benchmarks.score_market import open_market

    shapes = {("bids", n): (n, n, max(1, n // 10)) for n in BIDS}
    shapes |= {("brands", n): (BUNDLE, n, 10) for n in BRANDS}
    shapes |= {("slots", n): (BUNDLE, BUNDLE, n) for n in SLOTS}
    seconds: dict[tuple[str, int], list[float]] = {shape: [] for shape in shapes}
    numbers = count()
    with open_market(), quiet():
        for turn in range(-3, rounds):
            for shape, (bids, brands, slots) in shapes.items():
                took = _score(bids, brands, slots, f"growth-{next(numbers)}")
                if turn >= 0:  # the first ones warm up
                    seconds[shape].append(took)
    curves: dict[str, Curve] = {}
    for (kind, size), some in seconds.items():
        curves.setdefault(kind, {})[str(size)] = round(min(some) * 1e3, 3)
    return curves


def _score(bids: int, brands: int, slots: int, request: str) -> float:
    from benchmarks.score_market import bid_of, http_event
    from functions.score.app import handler

    said = [
        {
            **bid_of(number),
            "brand_id": bid_of(number % brands)["brand_id"],
            "slot_id": f"s{number % slots}",
        }
        for number in range(bids)
    ]
    event = http_event({"id": request, "bids": said})
    started = time.perf_counter()
    answer = handler(event, None)
    took = time.perf_counter() - started
    if answer["statusCode"] != 200:
        raise SystemExit(answer["body"])
    return took


def draw(
    path: Path,
    scores: Mapping[str, Curve],
    reports: Sequence[Mapping[str, Any]],
    retrain: Sequence[Mapping[str, Any]],
) -> None:
    """Writes the picture: scores above, reports and retraining below, all axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(12, 9))
    _lines(axes[0, 0], {"a bundle": scores["bids"]}, "a score by bids (ten a slot, a brand each)", "bids")
    others = {"brands (10 slots)": scores["brands"], "slots (100 brands)": scores["slots"]}
    _lines(axes[0, 1], others, f"a score of {BUNDLE} bids by brands and slots", "brands or slots")
    axes[0, 1].set(yscale="linear", ylim=(0, None))
    by_rows: dict[str, Curve] = {}
    plain: dict[str, Curve] = {}
    for one in reports:
        for name, label in REPORTS.items():
            if name in one["calls"]:
                call = one["calls"][name]
                by_rows.setdefault(label, {})[str(one["rows"])] = call["p50_ms"]
                if "plain_ms" in call:
                    plain.setdefault(f"the same from `performance`: {label}", {})[str(one["rows"])] = call[
                        "plain_ms"
                    ]
    _lines(axes[1, 0], by_rows, "reports by rows of history (30 days)", "rows of performance")
    for (label, curve), color in zip(plain.items(), ("C0", "C1", "C2"), strict=False):
        x = [int(size) for size in curve]
        axes[1, 0].plot(x, list(curve.values()), linestyle=":", color=color, label=label)
    axes[1, 0].axhline(20, color="grey", linewidth=0.7)
    axes[1, 0].set_ylim(top=1e7)  # room for the legend
    axes[1, 0].legend(fontsize=6, loc="upper left")
    _retrain(axes[1, 1], retrain)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _lines(axis: Any, curves: Mapping[str, Curve], title: str, label: str) -> None:
    for name, curve in curves.items():
        axis.plot([int(size) for size in curve], list(curve.values()), marker="o", markersize=4, label=name)
    axis.set(title=title, xlabel=label, ylabel="ms", xscale="log", yscale="log")
    axis.grid(visible=True, which="both", linewidth=0.3)
    axis.legend(fontsize=7)


def _retrain(axis: Any, results: Sequence[Mapping[str, Any]]) -> None:
    rows = [one["rows"] for one in results]
    axis.plot(rows, [one["seconds"] for one in results], marker="o", color="C0", label="seconds")
    axis.plot(rows, [one["peak_mb"] for one in results], marker="s", color="C3", label="peak memory, MB")
    axis.set(title="a retrain by rows", xlabel="rows of performance", xscale="log", yscale="log")
    axis.grid(visible=True, which="both", linewidth=0.3)
    axis.legend(fontsize=7)


if __name__ == "__main__":
    sys.exit(main())
