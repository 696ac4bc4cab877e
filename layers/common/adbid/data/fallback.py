"""What a score asks MySQL for where Redis hasn't got it: imported and connected then, and not before."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from adbid.data.counters import Counters
from adbid.data.hot_keys import Place
from adbid.data.ledger import Ledger
from adbid.domain.entities import BrandFeatures, PartnerFeatures, PriorFeatures, SlotFeatures

if TYPE_CHECKING:
    from adbid.data.database import Database

RESTORE_SECONDS = 5.0
"""How long a score may take to rebuild lost sums: enough for some 200,000 rows. A larger history is rebuilt
by `python -m local rebuild`, and until then answers say `counters_unavailable`."""


class MySqlCatalog:
    """The catalog (`hot_objects.Catalog`)."""

    def __init__(self, database: "Callable[[], Database]") -> None:
        self._database = database

    def brands(self, ids: Sequence[str]) -> dict[str, BrandFeatures]:
        from adbid.data import catalog

        with self._database().read() as connection:
            return catalog.load_brands(connection, ids)

    def partners(self, ids: Sequence[str]) -> dict[str, PartnerFeatures]:
        from adbid.data import catalog

        with self._database().read() as connection:
            return catalog.load_partners(connection, ids)

    def slots(self, ids: Sequence[str]) -> dict[str, SlotFeatures]:
        from adbid.data import catalog

        with self._database().read() as connection:
            return catalog.load_slots(connection, ids)

    def priors(self) -> Sequence[PriorFeatures]:
        from adbid.data import catalog

        with self._database().read() as connection:
            return catalog.load_priors(connection)


class MySqlHistory:
    """Past events (`engine.scoring.History`)."""

    def __init__(
        self,
        database: "Callable[[], Database]",
        counters: Callable[[], Counters],
        ledger: Callable[[], Ledger],
    ) -> None:
        self._database = database
        self._counters = counters
        self._ledger = ledger

    def evidence_before(self, places: Sequence[Place], at: datetime) -> NDArray[np.float64]:
        from adbid.data import catalog, evidence

        with self._database().read() as connection:
            brands = catalog.load_brands(connection, [place[0] for place in places])
            paths = [(brands[p[0]].market if p[0] in brands else "", *p) for p in places]
            return evidence.evidence_before(connection, paths, at)

    def restore(self, now: datetime) -> bool:
        from adbid.data import rebuild

        deadline = time.monotonic() + RESTORE_SECONDS
        return rebuild.ensure_current(self._database(), self._counters(), now, deadline) is not None

    def restore_ledger(self, now: datetime) -> bool:
        if self._ledger().alive():
            return True
        from adbid.data import ledger_snapshots

        deadline = time.monotonic() + RESTORE_SECONDS
        return ledger_snapshots.restore(self._database(), self._ledger(), now, deadline)
