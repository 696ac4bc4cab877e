"""The whole product for a module's tests: embedded SQLite, a Redis of its own, a free port, a small market.

One at a time, and for one module: what the functions read their settings from, the environment and the
composition root, is the process's own. Nothing here listens to the user's settings.
"""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.product import MARKET, Product, ok, running_product, settings


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_user() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in settings():
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The running product, empty but for what migrations bring."""
    with running_product(tmp_path_factory.mktemp("product")) as product:
        yield product


@pytest.fixture(scope="module")
def admin(product: Product) -> Iterator[httpx.Client]:
    """An administrator's client."""
    with product.client("admin") as client:
        yield client


@pytest.fixture(scope="module")
def market(admin: httpx.Client) -> None:
    """Brands b1 and b2, partner p1 with slot s1, partner p2 with slot s2, made through the API."""
    for kind, items in MARKET.items():
        for item in items:
            ok(admin.post(f"/api/{kind}", json=item), 201)
