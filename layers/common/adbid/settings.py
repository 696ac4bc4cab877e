"""What the environment says, as one frozen and validated object per function, read once at the edge.

A function's settings are composed of the mixins below; `.env.example` documents every variable.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator


class SettingsError(Exception):
    """The environment is not usable. The message lists everything that is wrong."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True)


class DatabaseSettings(_Settings):
    """Where the truth is kept."""

    database_url: str = Field(pattern=r"^(mysql|mysql\+pymysql|mariadb|sqlite)://")
    database_pool_size: int = Field(default=1, ge=1, le=64)
    database_secret_id: str | None = None
    """Secret of AWS Secrets Manager to sign in with, over TLS alone; without one, `database_url` says it."""


class CacheSettings(_Settings):
    """Where what is hot is kept. Timeouts in seconds."""

    redis_url: str = Field(pattern=r"^(rediss?|unix)://")
    redis_timeout: float = Field(default=0.25, gt=0, le=10)
    redis_secret_id: str | None = None
    """The same for Redis, and for the ledger's."""


class LedgerSettings(CacheSettings):
    """Where money is kept, and for how long. The ledger may have a Redis of its own, or a Redis cluster, over
    which its keys spread in `ledger_partitions` (never change them while reservations are open)."""

    ledger_url: str | None = Field(default=None, pattern=r"^(rediss?|unix)://")
    ledger_cluster: bool = False
    ledger_partitions: int = Field(default=1, ge=1, le=1024)
    reservation_seconds_cpm: int = Field(default=300, ge=1, le=86_400)
    reservation_seconds_cpc: int = Field(default=1_800, ge=1, le=86_400)
    reservation_seconds_cpa: int = Field(default=3_600, ge=1, le=604_800)
    decision_seconds: int = Field(default=600, ge=1, le=86_400)
    won_seconds: int = Field(default=604_800, ge=1, le=691_200)
    """How long an event finds what its bid has won. The ledger keeps its days a day longer than the most."""

    @field_validator("won_seconds")
    @classmethod
    def _outlasts_what_needs_it(cls, seconds: int, info: ValidationInfo) -> int:
        others = {name: info.data.get(name, 0) for name in ("reservation_seconds_cpa", "decision_seconds")}
        for name, least in others.items():
            if seconds < least:
                raise ValueError(f"must not be less than {name.upper()}")
        return seconds


class SteeringSettings(_Settings):
    """Over how many of a brand's days, today included, its ROAS is kept and told."""

    roas_window_days: int = Field(default=7, ge=1, le=90)


class ModelSettings(_Settings):
    """Where published models are kept: a bucket, or a folder on a laptop. With neither, Redis is all."""

    models_bucket: str | None = None
    models_dir: Path | None = None


S = TypeVar("S", bound=_Settings)


def read_settings(kind: type[S], environment: Mapping[str, str]) -> S:
    """Settings of `kind` from upper-case variables; an empty one counts as absent. Raises SettingsError."""
    values = {name: value for name in kind.model_fields if (value := environment.get(name.upper()))}
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        wrong = [f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False)]
        raise SettingsError("settings are not usable: " + "; ".join(wrong)) from None
