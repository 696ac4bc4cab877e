"""Redis without detours, for the score path: packed keys, one message, a connection that stays.

Keys are written as Redis' protocol has them once, and joined: packing them is most of what a large MGET
costs. Clients whose `command_packer` is `PACKER` send such messages as they are; any other gets the keys.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from hiredis import pack_command
from redis import Redis
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

_USUAL = {str, bytes, int, float}
_MGET = b"$4\r\nMGET\r\n"
_EVALSHA = b"$7\r\nEVALSHA\r\n"
_FRESH_SECONDS = 1.0
_REMEMBERED = 50_000  # packed keys by id, each some 100 bytes; dropped all at once beyond


def packed(*keys: str) -> bytes:
    """Arguments of a command, one behind the other."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(key), key) for key in map(str.encode, keys)])


class Remembered:
    """Packed keys by id: what `keys` makes of it."""

    def __init__(self, *keys: Callable[[str], str]) -> None:
        self._keys = keys
        self._known: dict[str, bytes] = {}

    def of(self, ids: Iterable[str]) -> list[bytes]:
        try:
            return list(map(self._known.__getitem__, ids))
        except KeyError:
            if len(self._known) > _REMEMBERED:
                self._known = {}
            known = self._known
            for one in ids:
                if one not in known:
                    known[one] = packed(*[key(one) for key in self._keys])
            return [known[one] for one in ids]


class Packer:
    """What redis-py packs commands with, in fewer steps; it also marks the clients that take messages."""

    def __init__(self) -> None:
        self._usual = HiredisRespSerializer()

    def pack(self, *arguments: Any) -> Sequence[bytes]:
        """The parts to send."""
        if " " not in arguments[0] and not {*map(type, arguments)} - _USUAL:
            return [pack_command(arguments)]  # which the usual way comes to, argument by argument
        usual: Sequence[bytes] = self._usual.pack(*arguments)
        return usual


PACKER = Packer()


def nothing() -> None:
    """What there is to do while Redis is at work, by default."""


def mget(
    redis: Redis, parts: Iterable[bytes], count: int, meanwhile: Callable[[], None] = nothing
) -> list[bytes | None]:
    """The values of `count` keys, which are `packed` in `parts`, in one round trip. Raises RedisError.

    `meanwhile` is called while Redis is at work: at most twice, or never.
    """
    keys = b"".join(parts)
    if takes_messages(redis):
        values = _exchange(redis, b"*%d\r\n%b%b" % (count + 1, _MGET, keys), meanwhile)
    else:
        values = redis.mget(unpacked(keys))
    answer: list[bytes | None] = values
    return answer


def evalsha(
    redis: Redis,
    digest: str,
    keys: bytes,
    count: int,
    arguments: Sequence[bytes],
    meanwhile: Callable[[], None] = nothing,
) -> Any:
    """What the script answers, of `count` keys, which are `packed`. `redis` must be one that takes messages.

    Raises RedisError, NoScriptError where Redis doesn't know it. `meanwhile` as in `mget`.
    """
    parts = [b"*%d\r\n%b%b" % (3 + count + len(arguments), _EVALSHA, packed(digest, str(count))), keys]
    for argument in arguments:
        parts += (b"$%d\r\n" % len(argument), argument, b"\r\n")
    return _exchange(redis, b"".join(parts), meanwhile)


def takes_messages(redis: Any) -> bool:
    """Whether it is a client of one server whose connections have our packer, and nobody watches it."""
    pool = getattr(redis, "connection_pool", None)
    ours = pool is not None and pool.connection_kwargs.get("command_packer") is PACKER
    return ours and "execute_command" not in vars(redis)  # wrapped: each command wants to be seen


def post(redis: Redis, message: bytes) -> None:
    """Sends commands that Redis doesn't answer. Raises RedisError where they can't even be sent."""
    pool: Any = redis.connection_pool
    line, held = _line_of(pool)
    if time.monotonic() - line.answered > _FRESH_SECONDS:
        pool.release(line.connection)
        line = _Line(pool.get_connection(), 0.0)  # it looks whether Redis has hung up
    try:
        line.connection.send_packed_command([message])
    except BaseException:
        line.connection.disconnect()
        raise
    finally:
        held.append(line)


def settle(redis: Redis) -> None:
    """Waits until what this thread has posted is done. Raises RedisError."""
    _exchange(redis, b"*1\r\n" + packed("PING"), nothing)


@dataclass(slots=True)
class _Line:
    """A connection that was taken from its pool for good: to take it anew for every command, and to ask
    whether it is still open, costs as much as the command. `answered`: when it last was."""

    connection: Any
    answered: float


_held: "WeakKeyDictionary[Any, list[_Line]]" = WeakKeyDictionary()
"""The lines that nobody is using, by pool. The pool closes them with its own."""

os.register_at_fork(after_in_child=_held.clear)


def _line_of(pool: Any) -> tuple[_Line, list[_Line]]:
    """A line that nobody else is using, and where to leave it."""
    held = _held.get(pool)
    if held is None:
        held = _held.setdefault(pool, [])
    try:
        return held.pop(), held
    except IndexError:
        return _Line(pool.get_connection(), time.monotonic()), held


def _exchange(redis: Redis, message: bytes, meanwhile: Callable[[], None]) -> Any:
    """As redis-py runs a command: a connection that was lost, or that hangs, is given a second try."""
    line, held = _line_of(redis.connection_pool)
    connection = line.connection
    try:
        for second in (False, True):
            try:
                connection.send_packed_command([message])
                meanwhile()
                answer = connection.read_response()
                line.answered = time.monotonic()
                return answer
            except (RedisConnectionError, RedisTimeoutError):
                connection.disconnect()
                if second:
                    raise
            except ResponseError:
                raise
            except BaseException:  # its answer is still to come
                connection.disconnect()
                raise
    finally:
        held.append(line)
    raise AssertionError("not reached")


def unpacked(keys: bytes) -> list[bytes]:
    """What was `packed`."""
    found, at = [], 0
    while at < len(keys):
        end = keys.index(b"\r\n", at)
        start, length = end + 2, int(keys[at + 1 : end])
        found.append(keys[start : start + length])
        at = start + length + 2
    return found
