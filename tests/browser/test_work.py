"""What ad operations do with the dashboard: see what is wrong and why, and change it."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import httpx

from adbid import wiring
from adbid.data import rebuild
from tests.browser.site import Site, events, report


def test_a_brand_that_is_held_back_says_why(site: Site, admin: httpx.Client) -> None:
    past = datetime.now(UTC) - timedelta(hours=2)
    poor = {"impressions": 40_000, "clicks": 2_000, "conversions": 400, "cost": "800", "revenue": "400"}
    for days in range(6):  # revenue is half of the cost, against a target of two: nobody can doubt it
        report(admin, events("b1", at=past - timedelta(days=days), **poor))
    now = datetime.now(UTC)
    rebuild.rebuild(wiring.database(), wiring.counters(), now)
    wiring.nightly_prices().solve(now)  # the night's work, and then the minute's
    assert wiring.monitoring().run(now).done
    site.play("work.readsWhyABrandIsHeldBack", token=site.token("admin"), outcome="Rejected")


def test_a_strategy_that_is_edited_changes_the_next_score(site: Site) -> None:
    site.play("work.changesAStrategy", token=site.token("admin"))


def test_two_editors_lose_nothing(site: Site) -> None:
    site.play("work.meetsAnotherEditor", token=site.token("admin"))


def test_a_brand_is_made_and_removed_whatever_its_id(site: Site) -> None:
    site.play("work.makesAndRemovesABrand", token=site.token("admin"))


def test_a_cell_of_the_heat_map_is_the_number_of_the_api(site: Site, admin: httpx.Client) -> None:
    site.change("/api/brands/b2", timezone="America/New_York")
    hour = datetime.now(UTC).replace(minute=5, second=0, microsecond=0)
    for back, impressions, revenue in ((2, 1234, "9.87"), (3, 77, "0.123456"), (26, 5000, "321")):
        happened = {"impressions": impressions, "clicks": 9, "conversions": 3, "revenue": revenue}
        report(admin, events("b2", at=hour - timedelta(hours=back), **happened))
    query = {
        "granularity": "hour",
        "brand_id": "b2",
        "timezone": "America/New_York",
        "from": (hour - timedelta(days=6)).isoformat(),
    }
    path = f"/api/metrics/vpi?{urlencode(query)}"
    site.play("work.readsTheHeatMap", token=site.token("brand", brands=["b2"]), vpi=path)
