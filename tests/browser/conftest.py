"""The built dashboard, the browser, and one product for a module's tests."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from local import dashboard
from local.dashboard import NoDashboard
from tests.browser.chromium import chromium
from tests.browser.driver import Player, player
from tests.browser.site import Site
from tests.support.availability import CannotBeHad, not_run
from tests.support.product import settings


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_user() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in settings():
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def node() -> None:
    """Node with the packages of the lock."""
    try:
        dashboard.require_node()
        dashboard.install()
    except NoDashboard as reason:
        not_run(f"the dashboard: {reason}")


@pytest.fixture(scope="session")
def browser(node: None) -> Iterator[Player]:
    """A Chromium that plays scenarios."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(chromium())
        except CannotBeHad as reason:
            not_run(f"the dashboard in a browser: {reason}")
        yield stack.enter_context(player(found))


@pytest.fixture(scope="module")
def site(browser: Player, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The product with the dashboard at its root, and a market that a test can change."""
    with Site.running(tmp_path_factory.mktemp("site"), browser) as site:
        yield site


@pytest.fixture(scope="module")
def admin(site: Site) -> Iterator[httpx.Client]:
    """An administrator's client."""
    with site.client("admin") as client:
        yield client
