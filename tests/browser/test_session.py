"""Signing in and out, what a token opens, and a token that ends."""

from tests.browser.site import Site


def test_a_token_in_the_address_signs_in_and_leaves_no_trace(site: Site) -> None:
    site.play("session.signsIn", token=site.token("admin"))


def test_signing_out_forgets_and_a_pasted_token_is_tried_before_it_is_kept(site: Site) -> None:
    site.play("session.signsOut", token=site.token("admin"))


def test_only_what_the_scopes_allow_is_offered(site: Site) -> None:
    brand = site.token("brand", brands=["b1"])
    partner = site.token("partner", partners=["p1"])
    site.play("session.isOfferedWhatItMay", brand=brand, partner=partner, admin=site.token("admin"))


def test_a_token_that_ends_asks_for_another_and_loses_nothing(site: Site) -> None:
    site.play("session.outlivesItsToken")


def test_another_callers_token_shows_nothing_of_the_last_one(site: Site) -> None:
    site.play("session.forgetsTheLastCaller")
