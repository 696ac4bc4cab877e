"""A week of a portfolio, minute by minute, through the product's own scoring, ledger and steering.

    .venv/bin/python -m benchmarks.closed_loop --json out.json --picture out.png

200 brands bid for the same slots, in four time zones. Conversions come hours and days later. In the middle
demand shakes for a day (twice the traffic, conversion rates times .7), and one brand's conversion rate halves
overnight. Needs no data: the market is made up (`closed_loop_market`). Money is kept by the ledger in a
private Redis; with --url in a given, empty one.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.closed_loop_figures import Run, figures, hindsight
from benchmarks.closed_loop_market import Market, Scale
from benchmarks.closed_loop_run import ClosedLoop
from tests.support.servers import redis_server


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    scale = Scale(options.brands, options.days, options.brands * options.auctions, min(8, options.brands))
    started = time.monotonic()
    with ExitStack() as stack:
        url = options.url or stack.enter_context(redis_server())
        redis = stack.enter_context(Redis.from_url(url))
        run = simulate(scale, redis, options.seed, steered=not options.unsteered, knowing=options.true_rates)
    result = figures(run)
    result["seconds"] = round(time.monotonic() - started, 1)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if options.picture:
        from benchmarks.closed_loop_picture import draw

        draw(options.picture, run)
    return 0 if result["granted_beyond_budget_micros"] == result["ledger_differences"] == 0 else 1


def simulate(scale: Scale, redis: Redis, seed: int, *, steered: bool = True, knowing: bool = False) -> Run:
    """Runs a market over an empty Redis, and finds what hindsight would have earned."""
    market = Market(scale, seed)
    loop = ClosedLoop(market, redis, seed + 1, steered=steered, knowing=knowing)
    recorded = loop.run()
    bound = hindsight(market, loop.first_day)
    return Run(market, recorded, loop.days, loop.first_day, len(loop.ledger.check()), bound)


def table(result: dict[str, Any]) -> str:
    """The main figures as text."""
    value, kept = result["value"], result["roas"]
    lines = [
        f"{result['brands']} brands, {result['days']} days, {result['grants']:,} impressions granted: "
        f"{result['granted_beyond_budget_micros']} micros beyond a budget",
        f"{'':6}{'actual / predicted':>22}{'overrun / budget':>34}{'used':>8}{'unserved':>10}",
        f"{'':6}{'p5':>8}{'median':>7}{'p95':>7}{'all':>10}{'median':>8}{'p95':>8}{'most':>8}{'mean':>8}{'mean':>10}",
    ]
    for model, one in result["spend"].items():
        cells = (
            ("actual_over_predicted", "p5", "8.3f"),
            ("actual_over_predicted", "median", "7.3f"),
            ("actual_over_predicted", "p95", "7.3f"),
            ("overrun_of_budget", "median", "8.3f"),
            ("overrun_of_budget", "p95", "8.3f"),
            ("overrun_of_budget", "most", "8.3f"),
            ("budget_used_where_it_binds", "mean", "8.3f"),
            ("traffic_after_budget_was_used_up", "mean", "10.3f"),
        )
        shown = [format(one[name].get(part, float("nan")), width) for name, part, width in cells]
        lines.append(
            f"{model:6}{''.join(shown[:3])}{one['overrun_of_all_budgets']:10.4f}{''.join(shown[3:])}"
        )
    hours = kept["longest_hours_below"]
    lines += [
        f"ROAS of the run: {kept['brands_below']} brands below target, "
        f"{kept['brands_more_than_3_percent_below']} by more than 3 %; "
        f"revenue missing {kept['missing_revenue_share']:.2%}",
        f"longest time below over a trailing day: median {hours['median']:.0f} h, p95 {hours['p95']:.0f} h",
        f"earned / bound {value['earned_over_bound']:.4f}, penalised {value['penalised_over_bound']:.4f}",
        f"halved brand's ROAS by hour, target {result['halved_brand']['target']}: "
        f"{result['halved_brand']['roas_by_hour_since']}",
        f"missing revenue by hour since the shock: {result['shock']['missing_revenue_share_by_hour_since']}",
    ]
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--brands", type=int, default=200)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--auctions", type=float, default=0.2, help="per brand and minute, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unsteered", action="store_true", help="all prices 0: the ledger alone")
    parser.add_argument("--true-rates", action="store_true", help="predictions that know the true rates")
    parser.add_argument("--url", help="an empty Redis")
    parser.add_argument("--json", type=Path, help="where to write the result")
    parser.add_argument("--picture", type=Path, help="where to draw it (PNG)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
