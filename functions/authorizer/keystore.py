"""The issuer's keys between calls: refreshed by age, reloaded for an unknown `kid`, dropped when stale."""

from __future__ import annotations

from collections.abc import Callable

from functions.authorizer.jwks import KeySet, MalformedKeySet, PublicKey, parse_key_set
from functions.authorizer.sources import SourceError

MAX_STALE_SECONDS = 3600.0
RETRY_SECONDS = 5.0


class KeysUnavailable(Exception):
    """The source is down and no key set is young enough: nobody can be let in or refused."""


class KeyStore:
    """Keys by (`kid`, `alg`) out of the last good key set.

    The set is fetched again when it is `refresh_seconds` old. While the source is down (tried again after
    five seconds) the last good set serves for an hour. A `kid` that the set lacks reloads it, at most once
    per `reload_seconds` whatever comes in: nobody can turn made-up tokens into load on the issuer.
    Times are in epoch seconds and passed in; `on_failure` hears why a load failed.
    """

    def __init__(
        self,
        fetch: Callable[[], str | bytes],
        *,
        refresh_seconds: float,
        reload_seconds: float,
        on_failure: Callable[[str], None],
    ) -> None:
        self._fetch = fetch
        self._on_failure = on_failure
        self._refresh_seconds = refresh_seconds
        self._reload_seconds = reload_seconds
        self._keys: KeySet = {}
        self._loaded_at: float | None = None
        self._failed_at: float | None = None
        self._reloaded_at: float | None = None

    def find(self, kid: str, algorithm: str, now: float) -> PublicKey | None:
        """The key with that id which verifies that algorithm, or None. Raises `KeysUnavailable`."""
        fresh = False
        if not _within(self._loaded_at, self._refresh_seconds, now):
            fresh = self._load(now)
        if not _within(self._loaded_at, MAX_STALE_SECONDS, now):
            raise KeysUnavailable("no key set from the issuer within the last hour")
        if not fresh and not self._knows(kid) and not _within(self._reloaded_at, self._reload_seconds, now):
            self._reloaded_at = now
            self._load(now)
        return self._keys.get((kid, algorithm))

    def _knows(self, kid: str) -> bool:
        return any(known == kid for known, _ in self._keys)

    def _load(self, now: float) -> bool:
        if _within(self._failed_at, RETRY_SECONDS, now):
            return False
        try:
            keys = parse_key_set(self._fetch())
        except (SourceError, MalformedKeySet) as error:
            self._failed_at = now
            self._on_failure(str(error))
            return False
        self._keys, self._loaded_at, self._failed_at = keys, now, None
        return True


def _within(moment: float | None, seconds: float, now: float) -> bool:
    """Whether `moment` lies less than `seconds` back; a clock set back counts as long ago."""
    return moment is not None and 0 <= now - moment < seconds
