"""The page itself: away and back, by keyboard, in every size and colour, with many brands."""

import httpx

from adbid import wiring
from tests.browser.site import Site
from tests.support.candidates import candidate
from tests.support.product import ok

FRAME = 1_000.0
"""Milliseconds that a key may take with 500 brands, on a machine that others use too."""


def test_it_keeps_the_last_data_while_the_api_is_away(site: Site) -> None:
    site.play("page.keepsTheLastData", token=site.token("admin"))


def test_it_works_by_keyboard(site: Site) -> None:
    site.play("page.worksByKeyboard", token=site.token("admin"))


def test_every_view_fits_and_is_accessible_in_light_and_dark(site: Site) -> None:
    site.play("page.looksRight", token=site.token("admin"), brand="b1")


def test_500_brands_are_shown_without_a_stutter(site: Site, admin: httpx.Client) -> None:
    for number in range(498):  # beside b1 and b2
        brand = {"id": f"many-{number}", "name": f"Brand {number}", "vertical": "travel", "target_roas": 2}
        ok(admin.post("/api/brands", json={**brand, "strategy_id": "plain", "currency": "USD"}), 201)
    times = site.play("page.staysQuick", token=site.token("admin"))
    print("milliseconds to the next frame:", [round(time) for time in times])
    assert max(times) < FRAME


def test_the_way_back_to_an_older_model_is_asked_for_twice(site: Site) -> None:
    versions = []
    for name in ("older", "newer"):
        one = candidate(name)
        wiring.model_publisher().publish(one, expected=wiring.redis_client().get("model"))
        versions.append(one.pointer.version)
    site.play("page.rollsBack", token=site.token("admin"), older=versions[0], newer=versions[1])
