"""The authorizer's settings: one frozen object, read once, with everything that is wrong reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class SettingsError(ValueError):
    """The environment does not make valid settings; the message names every problem."""


@dataclass(frozen=True)
class AuthorizerSettings:
    """Whose tokens are believed, and where the issuer's keys are.

    Exactly one of `jwks_url` and `jwks_secret_id` is set. `refresh_seconds` is the age at which the key set
    is fetched again; `reload_seconds` the least time between two reloads caused by an unknown `kid`.
    """

    issuer: str
    audience: str
    jwks_url: str | None
    jwks_secret_id: str | None
    refresh_seconds: int
    reload_seconds: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> AuthorizerSettings:
        """Read the settings; an empty variable counts as unset. Raises `SettingsError`."""
        problems: list[str] = []
        jwks_url = environment.get("JWKS_URL") or None
        jwks_secret_id = environment.get("JWKS_SECRET_ID") or None
        if (jwks_url is None) == (jwks_secret_id is None):
            problems.append("set exactly one of JWKS_URL and JWKS_SECRET_ID")
        if jwks_url is not None and not _is_trustworthy(jwks_url):
            problems.append("JWKS_URL must be https, or http on a loopback address, without credentials")
        refresh_seconds = _seconds(environment, "JWKS_REFRESH_SECONDS", 300, problems)
        reload_seconds = _seconds(environment, "JWKS_RELOAD_SECONDS", 60, problems)
        if problems:
            raise SettingsError("; ".join(problems))
        return cls(
            issuer=environment.get("JWT_ISSUER") or "partnerize",
            audience=environment.get("JWT_AUDIENCE") or "adbid",
            jwks_url=jwks_url,
            jwks_secret_id=jwks_secret_id,
            refresh_seconds=refresh_seconds,
            reload_seconds=reload_seconds,
        )


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine itself."""
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def _is_trustworthy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.username is not None or parts.password is not None:
            return False
        parts.port  # noqa: B018 - raises ValueError when the port is not a number
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS)


def _seconds(environment: Mapping[str, str], name: str, default: int, problems: list[str]) -> int:
    text = environment.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 3600:
        problems.append(f"{name} must be a whole number of seconds from 1 to 3600")
        return default
    return int(text)
