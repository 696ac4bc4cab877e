"""Settings: read once, checked at once, and never shown in an error."""

from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from pathlib import Path

import pytest

from adbid.settings import (
    CacheSettings,
    DatabaseSettings,
    LedgerSettings,
    ModelSettings,
    SettingsError,
    SteeringSettings,
    read_settings,
)


@dataclass(frozen=True, kw_only=True)
class DataSettings(DatabaseSettings, CacheSettings):
    """Settings of a function are composed like this."""


GOOD = {"DATABASE_URL": "mysql://u:hunter2@db/adbid", "REDIS_URL": "rediss://:hunter2@cache:6379/0"}


def test_defaults() -> None:
    found = read_settings(DataSettings, GOOD)
    assert (found.database_url, found.redis_url) == (GOOD["DATABASE_URL"], GOOD["REDIS_URL"])
    assert (found.database_pool_size, found.redis_timeout) == (1, 0.25)


def test_what_is_set() -> None:
    found = read_settings(
        DataSettings, {**GOOD, "DATABASE_POOL_SIZE": "16", "REDIS_TIMEOUT": "1.5", "OTHER": "x"}
    )
    assert (found.database_pool_size, found.redis_timeout) == (16, 1.5)


def test_an_empty_variable_is_no_variable() -> None:
    assert read_settings(CacheSettings, {**GOOD, "REDIS_TIMEOUT": ""}).redis_timeout == 0.25
    with pytest.raises(SettingsError, match="DATABASE_URL: must be set"):
        read_settings(DatabaseSettings, {"DATABASE_URL": ""})


def test_a_function_needs_its_own_alone() -> None:
    read_settings(DatabaseSettings, {"DATABASE_URL": "sqlite:////data/adbid.db"})
    read_settings(CacheSettings, {"REDIS_URL": "unix:///run/redis.sock"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://u:hunter2@db/adbid"),
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_POOL_SIZE", "65"),
        ("DATABASE_POOL_SIZE", "1.5"),
        ("DATABASE_POOL_SIZE", "-1"),
        ("DATABASE_POOL_SIZE", "٣"),
        ("REDIS_URL", "http://:hunter2@cache"),
        ("REDIS_TIMEOUT", "0"),
        ("REDIS_TIMEOUT", "0.0"),
        ("REDIS_TIMEOUT", "10.01"),
        ("REDIS_TIMEOUT", "-1"),
        ("REDIS_TIMEOUT", "nan"),
        ("REDIS_TIMEOUT", "inf"),
        ("REDIS_TIMEOUT", "soon"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_with_it(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        read_settings(DataSettings, {**GOOD, name: value})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(DataSettings, {"REDIS_TIMEOUT": "x"})
    assert [name in str(caught.value) for name in ("DATABASE_URL", "REDIS_URL", "REDIS_TIMEOUT")] == [
        True
    ] * 3
    with pytest.raises(SettingsError, match=r"LEDGER_PARTITIONS.*WON_SECONDS"):
        read_settings(
            LedgerSettings, {**GOOD, "LEDGER_PARTITIONS": "0", "WON_SECONDS": "1", "DECISION_SECONDS": "2"}
        )


@pytest.mark.parametrize(
    ("said", "meant"), [("true", True), ("False", False), ("1", True), ("0", False), ("", False)]
)
def test_yes_and_no(said: str, meant: bool) -> None:
    assert read_settings(LedgerSettings, {**GOOD, "LEDGER_CLUSTER": said}).ledger_cluster is meant
    with pytest.raises(SettingsError, match="LEDGER_CLUSTER"):
        read_settings(LedgerSettings, {**GOOD, "LEDGER_CLUSTER": f"{said}?"})


@pytest.mark.parametrize(
    "kind", [DatabaseSettings, CacheSettings, LedgerSettings, SteeringSettings, ModelSettings]
)
def test_every_setting_is_documented_with_its_default(kind: type[DatabaseSettings]) -> None:
    lines = (Path(__file__).resolve().parents[2] / ".env.example").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    defaults = {
        field.name.upper(): "" if field.default in (MISSING, None) else str(field.default).lower()
        for field in fields(kind)
    }
    assert {name: told.get(name) for name in defaults} == defaults


@pytest.mark.parametrize(
    "said",
    [
        {"WON_SECONDS": "691201"},
        {"WON_SECONDS": "3599"},
        {"WON_SECONDS": "86400", "RESERVATION_SECONDS_CPA": "86401"},
        {"WON_SECONDS": "4000", "DECISION_SECONDS": "4001"},
    ],
)
def test_what_is_won_is_known_as_long_as_it_is_open_and_no_longer_than_its_day(said: dict[str, str]) -> None:
    assert read_settings(LedgerSettings, {**GOOD, "WON_SECONDS": "3600"}).won_seconds == 3600
    assert read_settings(LedgerSettings, {**GOOD, "WON_SECONDS": "691200"}).won_seconds == 691_200
    with pytest.raises(SettingsError, match="WON_SECONDS"):
        read_settings(LedgerSettings, {**GOOD, **said})


def test_they_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        read_settings(CacheSettings, GOOD).redis_timeout = 1.0  # type: ignore[misc]
