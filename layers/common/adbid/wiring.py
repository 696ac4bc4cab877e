"""The composition root: builds each part once per process from the environment, when it is first asked for.

SQLAlchemy is imported only where MySQL is really needed: a warm score never gets there.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from adbid.data.cache import FeatureCache
from adbid.data.counters import Counters
from adbid.data.fallback import MySqlCatalog, MySqlHistory
from adbid.data.hot import HotStore
from adbid.data.ledger import Ledger
from adbid.data.models import ModelCache, ModelFiles, open_files
from adbid.data.shared_metrics import SharedMetrics
from adbid.data.steering import SteeringStore
from adbid.data.wire import PACKER
from adbid.domain.ledger import Lifetimes
from adbid.engine.models import ModelLoader
from adbid.engine.scoring import ScoringEngine
from adbid.eyes import metrics, traces
from adbid.ml.model import Model
from adbid.settings import (
    CacheSettings,
    DatabaseSettings,
    LedgerSettings,
    ModelSettings,
    SteeringSettings,
    read_settings,
)

if TYPE_CHECKING:
    from redis.cluster import RedisCluster

    from adbid.data.database import Database
    from adbid.data.traffic import TrafficStore
    from adbid.engine.administration import Administration
    from adbid.engine.brand_history import BrandHistory
    from adbid.engine.monitoring import Monitoring
    from adbid.engine.nightly_prices import NightlyPrices
    from adbid.engine.performance import PerformanceIngest
    from adbid.engine.portfolio import Portfolio
    from adbid.engine.publishing import Publisher
    from adbid.engine.reporting import Reporting
    from adbid.engine.scrape import Scrape
    from adbid.engine.simulation import Simulator


def now() -> datetime:
    """The clock of every function; the rules below take the time as an argument."""
    return datetime.now(UTC)


@cache
def database() -> "Database":
    from adbid.data.database import Database

    settings = read_settings(DatabaseSettings, os.environ)
    found = Database(settings.database_url, pool_size=settings.database_pool_size)
    if settings.database_secret_id is not None:
        from adbid.data.secrets import Secret, sign_in

        sign_in(found.engine, Secret(settings.database_secret_id))
    traces.watch_database(found.engine)
    return found


@cache
def redis_client() -> Redis:
    settings = read_settings(CacheSettings, os.environ)
    return _connected(settings.redis_url, settings)


def _connected(url: str, settings: CacheSettings) -> Redis:
    client = Redis.from_url(
        url,
        socket_timeout=settings.redis_timeout,
        socket_connect_timeout=settings.redis_timeout,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 1),
        command_packer=PACKER,
        driver_info=None,  # else two more answers to wait for, and the version is looked for in metadata
        **_credentials(settings),
    )
    traces.watch_redis(client)
    return client


def _credentials(settings: CacheSettings) -> dict[str, Any]:
    """What a client of Redis needs to sign in, where the address doesn't say it."""
    if settings.redis_secret_id is None:
        return {}
    from adbid.data.secrets import CacheCredentials, Secret

    return {"credential_provider": CacheCredentials(Secret(settings.redis_secret_id))}


@cache
def counters() -> Counters:
    return Counters(redis_client())


@cache
def hot_store() -> HotStore:
    return HotStore(redis_client(), MySqlCatalog(database))


@cache
def ledger() -> Ledger:
    settings = read_settings(LedgerSettings, os.environ)
    lifetimes = Lifetimes(
        cpm=timedelta(seconds=settings.reservation_seconds_cpm),
        cpc=timedelta(seconds=settings.reservation_seconds_cpc),
        cpa=timedelta(seconds=settings.reservation_seconds_cpa),
    )
    return Ledger(
        ledger_redis,
        partitions=settings.ledger_partitions,
        lifetimes=lifetimes,
        decision_seconds=settings.decision_seconds,
        won_seconds=settings.won_seconds,
    )


@cache
def ledger_redis() -> "Redis | RedisCluster":
    """Where the ledger is kept: with everything else, or in a Redis or a cluster of its own."""
    settings = read_settings(LedgerSettings, os.environ)
    if settings.ledger_url is None and not settings.ledger_cluster:
        return redis_client()
    url = settings.ledger_url or settings.redis_url
    if not settings.ledger_cluster:
        return _connected(url, settings)
    from redis.cluster import RedisCluster

    timeout = settings.redis_timeout
    cluster = RedisCluster.from_url(
        url, socket_timeout=timeout, socket_connect_timeout=timeout, **_credentials(settings)
    )
    traces.watch_redis(cluster)
    return cluster


@cache
def scoring() -> ScoringEngine:
    return ScoringEngine(hot_store(), MySqlHistory(database, counters, ledger), models, ledger())


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
def monitoring() -> "Monitoring":
    from adbid.data.gauges import GaugeStore
    from adbid.data.steering_state import StateStore
    from adbid.engine.monitoring import Monitoring
    from adbid.engine.steering import PortfolioSteering

    states = StateStore(redis_client())
    steering = PortfolioSteering(
        database(),
        ledger(),
        SteeringStore(redis_client()),
        states,
        GaugeStore(redis_client()),
        traffic(),
        window_days=_window_days(),
    )
    return Monitoring(database(), counters(), ledger(), steering, states, traffic())


@cache
def portfolio() -> "Portfolio":
    from adbid.data.gauges import GaugeStore
    from adbid.engine.portfolio import Portfolio

    return Portfolio(
        database(),
        ledger(),
        SteeringStore(redis_client()),
        GaugeStore(redis_client()),
        traffic(),
        window_days=_window_days(),
    )


@cache
def shared_metrics() -> SharedMetrics:
    return SharedMetrics(redis_client(), _cache_is_down)


def _cache_is_down() -> bool:
    return bool(hot_store.cache_info().currsize) and hot_store().is_down


def _share(counters: Mapping[str, float], gauges: Mapping[str, float]) -> bool:
    return shared_metrics().add(counters, gauges)


metrics.send_to(_share)


@cache
def scrape() -> "Scrape":
    from adbid.data import model_versions
    from adbid.data.gauges import GaugeStore
    from adbid.engine.scrape import Scrape

    def made_at(version: str) -> datetime | None:
        with database().read() as connection:
            row = model_versions.find(connection, version)
        return None if row is None else row.created_at

    redis = redis_client()
    return Scrape(shared_metrics(), GaugeStore(redis), ModelCache(redis), made_at)


@cache
def brand_history() -> "BrandHistory":
    from adbid.engine.brand_history import BrandHistory

    return BrandHistory(database(), traffic())


@cache
def simulator() -> "Simulator":
    from adbid.engine.simulation import Simulator

    return Simulator(database(), hot_store(), models, SteeringStore(redis_client()))


@cache
def traffic() -> "TrafficStore":
    from adbid.data.traffic import TrafficStore

    return TrafficStore(redis_client())


def _window_days() -> int:
    return read_settings(SteeringSettings, os.environ).roas_window_days


@cache
def performance() -> "PerformanceIngest":
    from adbid.data.outbox import Outbox
    from adbid.engine.performance import PerformanceIngest

    return PerformanceIngest(database(), Outbox(database(), counters()), ledger())


def close() -> None:
    """Ends every connection, and forgets what was built."""
    metrics.flush()
    if database.cache_info().currsize:
        database().dispose()
    if redis_client.cache_info().currsize:
        redis_client().close()
    if ledger_redis.cache_info().currsize:
        kept = ledger_redis()
        if not isinstance(kept, Redis):
            for node in kept.get_nodes():  # type: ignore[no-untyped-call]  # its own `close` leaves them open
                node.redis_connection.connection_pool.disconnect()
        kept.close()
    reset()


def reset() -> None:
    """Forgets what was built, for a process whose environment changes (tests, the local run)."""
    for part in (
        database,
        redis_client,
        counters,
        hot_store,
        ledger,
        ledger_redis,
        nightly_prices,
        monitoring,
        portfolio,
        brand_history,
        simulator,
        traffic,
        model_loader,
        model_publisher,
        scoring,
        administration,
        performance,
        reporting,
        scrape,
        shared_metrics,
    ):
        part.cache_clear()
    metrics.forget()
    traces.reset()
