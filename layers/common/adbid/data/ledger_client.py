"""Redis, or a Redis cluster, as the ledger uses it: scripts, and commands in one round trip.

A cluster's client connects as soon as it is made, and half of what it raises isn't a RedisError. Here it is
made when it is first needed, and again when that failed; everything that goes wrong is a RedisError.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

from redis import Redis
from redis.cluster import RedisCluster
from redis.commands.core import Script
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException

from adbid.data.wire import evalsha, nothing, takes_messages, unpacked

Connection: TypeAlias = Redis | RedisCluster
Argument: TypeAlias = str | bytes | int | float


class Client:
    """Runs scripts and commands. `connection`: a client, or what makes one."""

    def __init__(self, connection: Connection | Callable[[], Connection]) -> None:
        self._connection = connection
        self._redis: Redis | None = None
        self._scripts: dict[str, Script] = {}

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """What a script answers; its text is sent where Redis doesn't know it yet."""
        with _only_redis_errors():
            return self._registered(script)(keys, arguments)

    def run_packed(
        self,
        script: str,
        keys: bytes,
        count: int,
        arguments: Sequence[Argument],
        meanwhile: Callable[[], None] = nothing,
    ) -> Any:
        """The same of `count` keys that are packed (`adbid.data.wire`). `meanwhile` may be called while Redis
        is at work, more than once, or never."""
        redis = self._connected()
        if not takes_messages(redis):
            return self.run(script, [key.decode() for key in unpacked(keys)], arguments)
        known = self._registered(script)
        try:
            return evalsha(redis, known.sha, keys, count, list(map(_bytes, arguments)), meanwhile)
        except NoScriptError:
            return known([key.decode() for key in unpacked(keys)], arguments)

    def _registered(self, script: str) -> Script:
        known = self._scripts.get(script)
        if known is None:
            known = self._scripts[script] = self._connected().register_script(script)
        return known

    def call(self, *command: Argument) -> Any:
        """What one command answers."""
        with _only_redis_errors():
            return self._connected().execute_command(*command)  # type: ignore[no-untyped-call]

    def calls(self, commands: Iterable[Sequence[Argument]]) -> list[Any]:
        """What many commands answer: one round trip, or one per node."""
        with _only_redis_errors():
            pipeline = self._connected().pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
            return list(pipeline.execute())

    def _connected(self) -> Redis:
        if self._redis is None:
            made = self._connection() if callable(self._connection) else self._connection
            self._redis = cast("Redis", made)  # a cluster's client offers the calls that are made here
        return self._redis


def _bytes(argument: Argument) -> bytes:
    return argument if isinstance(argument, bytes) else str(argument).encode()


@contextmanager
def _only_redis_errors() -> Iterator[None]:
    try:
        yield
    except RedisClusterException as error:
        raise RedisConnectionError(str(error)) from error
