"""What the environment says, as one frozen and validated object per function, read once at the edge.

A function's settings are composed of the mixins below; `.env.example` documents every variable. They are
plain dataclasses because a warm score imports no schema library (docs/performance-score.md), and don't show
themselves, because an address may hold a password.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar


class SettingsError(Exception):
    """The environment is not usable. The message lists everything that is wrong."""


Read = Callable[[str], Any]
"""Makes a setting of a variable's text. Raises ValueError with what the text must be, and never the text."""


def _setting(read: Read, **default: Any) -> Any:
    """A field that `read` makes of its variable, which must be there unless there is a `default`."""
    return field(metadata={"read": read}, **default)


def _address(*schemes: str) -> Read:
    def read(text: str) -> str:
        if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must begin with {' or '.join(schemes)}, and ://")
        return text

    return read


def _whole(least: int, most: int) -> Read:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return read


def _seconds(most: float) -> Read:
    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", text) or not 0 < float(text) <= most:
            raise ValueError(f"must be a number above 0, and at most {most}")
        return float(text)

    return read


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError("must be true or false")
    return text.lower() in ("true", "1")


class _Settings:
    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with `values` together; those that are missing are absent, or wrong by themselves."""
        return iter(())


@dataclass(frozen=True, kw_only=True, repr=False)
class DatabaseSettings(_Settings):
    """Where the truth is kept."""

    database_url: str = _setting(_address("mysql", "mysql+pymysql", "mariadb", "sqlite"))
    database_pool_size: int = _setting(_whole(1, 64), default=1)
    database_secret_id: str | None = _setting(str, default=None)
    """Secret of AWS Secrets Manager to sign in with, over TLS alone; without one, `database_url` says it."""


@dataclass(frozen=True, kw_only=True, repr=False)
class CacheSettings(_Settings):
    """Where what is hot is kept. Timeouts in seconds."""

    redis_url: str = _setting(_address("redis", "rediss", "unix"))
    redis_timeout: float = _setting(_seconds(10), default=0.25)
    redis_secret_id: str | None = _setting(str, default=None)
    """The same for Redis, and for the ledger's."""


@dataclass(frozen=True, kw_only=True, repr=False)
class LedgerSettings(CacheSettings):
    """Where money is kept, and for how long. The ledger may have a Redis of its own, or a Redis cluster, over
    which its keys spread in `ledger_partitions` (never change them while reservations are open)."""

    ledger_url: str | None = _setting(_address("redis", "rediss", "unix"), default=None)
    ledger_cluster: bool = _setting(_flag, default=False)
    ledger_partitions: int = _setting(_whole(1, 1024), default=1)
    reservation_seconds_cpm: int = _setting(_whole(1, 86_400), default=300)
    reservation_seconds_cpc: int = _setting(_whole(1, 86_400), default=1_800)
    reservation_seconds_cpa: int = _setting(_whole(1, 604_800), default=3_600)
    decision_seconds: int = _setting(_whole(1, 86_400), default=600)
    won_seconds: int = _setting(_whole(1, 691_200), default=604_800)
    """How long an event finds what its bid has won. The ledger keeps its days a day longer than the most."""

    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterator[str]:
        won = values.get("won_seconds", cls.won_seconds)
        for name in ("reservation_seconds_cpa", "decision_seconds"):
            if won < values.get(name, getattr(cls, name)):
                yield f"WON_SECONDS: must not be less than {name.upper()}"


@dataclass(frozen=True, kw_only=True, repr=False)
class SteeringSettings(_Settings):
    """Over how many of a brand's days, today included, its ROAS is kept and told."""

    roas_window_days: int = _setting(_whole(1, 90), default=7)


@dataclass(frozen=True, kw_only=True, repr=False)
class ModelSettings(_Settings):
    """Where published models are kept: a bucket, or a folder on a laptop. With neither, Redis is all."""

    models_bucket: str | None = _setting(str, default=None)
    models_dir: Path | None = _setting(Path, default=None)  # noqa: RUF009  # it is a field


S = TypeVar("S", bound=_Settings)


def read_settings(kind: type[S], environment: Mapping[str, str]) -> S:
    """Settings of `kind` from upper-case variables; an empty one counts as absent. Raises SettingsError."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for one in fields(kind):  # type: ignore[arg-type]  # each kind is a dataclass
        name = one.name.upper()
        try:
            if text := environment.get(name):
                values[one.name] = one.metadata["read"](text)
            elif one.default is MISSING:
                wrong.append(f"{name}: must be set")
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    wrong += kind.contradictions(values)
    if wrong:
        raise SettingsError("settings are not usable: " + "; ".join(wrong))
    return kind(**values)
