"""The composition root: builds each part once per process from the environment, when it is first asked for.

SQLAlchemy is imported only where MySQL is really needed: a warm score never gets there.
"""

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from adbid.data.cache import FeatureCache
from adbid.data.counters import Counters
from adbid.data.hot import HotStore, Place
from adbid.data.ledger import Ledger
from adbid.data.models import ModelCache, ModelFiles, open_files
from adbid.domain.entities import BrandFeatures, PartnerFeatures, PriorFeatures, SlotFeatures
from adbid.domain.ledger import Lifetimes
from adbid.engine.models import ModelLoader
from adbid.engine.scoring import ScoringEngine
from adbid.ml.model import Model
from adbid.settings import (
    CacheSettings,
    DatabaseSettings,
    LedgerSettings,
    ModelSettings,
    read_settings,
)

if TYPE_CHECKING:
    from redis.cluster import RedisCluster

    from adbid.data.database import Database
    from adbid.engine.administration import Administration
    from adbid.engine.nightly_prices import NightlyPrices
    from adbid.engine.performance import PerformanceIngest
    from adbid.engine.publishing import Publisher
    from adbid.engine.reporting import Reporting


RESTORE_SECONDS = 5.0
"""How long a score may take to rebuild lost sums: enough for some 200,000 rows. A larger history is rebuilt
by `python -m local rebuild`, and until then answers say `counters_unavailable`."""


def now() -> datetime:
    """The clock of every function; the rules below take the time as an argument."""
    return datetime.now(UTC)


@cache
def database() -> "Database":
    from adbid.data.database import Database

    settings = read_settings(DatabaseSettings, os.environ)
    return Database(settings.database_url, pool_size=settings.database_pool_size)


@cache
def redis_client() -> Redis:
    settings = read_settings(CacheSettings, os.environ)
    return _connected(settings.redis_url, settings.redis_timeout)


def _connected(url: str, timeout: float) -> Redis:
    return Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 1),
    )


@cache
def counters() -> Counters:
    return Counters(redis_client())


@cache
def hot_store() -> HotStore:
    return HotStore(redis_client(), _Catalog())


@cache
def ledger() -> Ledger:
    settings = read_settings(LedgerSettings, os.environ)
    lifetimes = Lifetimes(
        cpm=timedelta(seconds=settings.reservation_seconds_cpm),
        cpc=timedelta(seconds=settings.reservation_seconds_cpc),
        cpa=timedelta(seconds=settings.reservation_seconds_cpa),
    )
    return Ledger(
        _ledger_client(settings),
        partitions=settings.ledger_partitions,
        lifetimes=lifetimes,
        decision_seconds=settings.decision_seconds,
    )


def _ledger_client(settings: LedgerSettings) -> "Redis | RedisCluster":
    if settings.ledger_url is None and not settings.ledger_cluster:
        return redis_client()
    url = settings.ledger_url or settings.redis_url
    if not settings.ledger_cluster:
        return _connected(url, settings.redis_timeout)
    from redis.cluster import RedisCluster

    timeout = settings.redis_timeout
    return RedisCluster.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)


@cache
def scoring() -> ScoringEngine:
    return ScoringEngine(hot_store(), _History(), models, ledger())


@cache
def administration() -> "Administration":
    from adbid.engine.administration import Administration

    return Administration(
        database(), FeatureCache(redis_client()), clock=lambda: now(), move_brand=counters().move_brand
    )


def _model_files() -> ModelFiles | None:
    settings = read_settings(ModelSettings, os.environ)
    return open_files(settings.models_bucket, settings.models_dir)


@cache
def model_loader() -> ModelLoader:
    return ModelLoader(ModelCache(redis_client()), _model_files())


@cache
def model_publisher() -> "Publisher":
    from adbid.engine.publishing import Publisher

    return Publisher(database(), ModelCache(redis_client()), _model_files())


def models(pointer: bytes | None) -> tuple[Model, tuple[str, ...]]:
    """The model that `pointer` names, and what is degraded about it."""
    return model_loader().current(pointer)


@cache
def reporting() -> "Reporting":
    from adbid.engine.reporting import Reporting

    return Reporting(database(), hot_store(), models)


@cache
def nightly_prices() -> "NightlyPrices":
    from adbid.engine.nightly_prices import NightlyPrices

    return NightlyPrices(database(), hot_store(), models)


@cache
def performance() -> "PerformanceIngest":
    from adbid.data.outbox import Outbox
    from adbid.engine.performance import PerformanceIngest

    return PerformanceIngest(database(), Outbox(database(), counters()), ledger())


def close() -> None:
    """Ends every connection, and forgets what was built."""
    if database.cache_info().currsize:
        database().dispose()
    if redis_client.cache_info().currsize:
        redis_client().close()
    reset()


def reset() -> None:
    """Forgets what was built, for a process whose environment changes (tests, the local run)."""
    for part in (
        database,
        redis_client,
        counters,
        hot_store,
        ledger,
        nightly_prices,
        model_loader,
        model_publisher,
        scoring,
        administration,
        performance,
        reporting,
    ):
        part.cache_clear()


class _Catalog:
    """The catalog in MySQL, imported and connected only when something is not in Redis."""

    def brands(self, ids: Sequence[str]) -> dict[str, BrandFeatures]:
        from adbid.data import catalog

        with database().read() as connection:
            return catalog.load_brands(connection, ids)

    def partners(self, ids: Sequence[str]) -> dict[str, PartnerFeatures]:
        from adbid.data import catalog

        with database().read() as connection:
            return catalog.load_partners(connection, ids)

    def slots(self, ids: Sequence[str]) -> dict[str, SlotFeatures]:
        from adbid.data import catalog

        with database().read() as connection:
            return catalog.load_slots(connection, ids)

    def priors(self) -> Sequence[PriorFeatures]:
        from adbid.data import catalog

        with database().read() as connection:
            return catalog.load_priors(connection)


class _History:
    """Past events in MySQL, likewise."""

    def evidence_before(self, places: Sequence[Place], at: datetime) -> NDArray[np.float64]:
        from adbid.data import catalog, history

        with database().read() as connection:
            brands = catalog.load_brands(connection, [place[0] for place in places])
            paths = [(brands[p[0]].vertical if p[0] in brands else "", *p) for p in places]
            return history.evidence_before(connection, paths, at)

    def restore(self, now: datetime) -> bool:
        from adbid.data import rebuild

        deadline = time.monotonic() + RESTORE_SECONDS
        return rebuild.ensure_current(database(), counters(), now, deadline) is not None

    def restore_ledger(self, now: datetime) -> bool:
        if ledger().alive():
            return True
        from adbid.data import ledger_snapshots

        deadline = time.monotonic() + RESTORE_SECONDS
        return ledger_snapshots.restore(database(), ledger(), now, deadline)
