"""Keys as Redis' protocol writes them, made once and joined: packing them is most of what a large MGET costs.

A connection whose `command_packer` is a `Packer` sends them as they are; any other client gets the keys.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hiredis import pack_command
from redis import Redis
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

_USUAL = {str, bytes, int, float}
_COUNT_OF_COMMAND = 1
_HEAD = b"$4\r\nMGET\r\n"


def packed(*keys: str) -> bytes:
    """Arguments of a command, one behind the other."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(key), key) for key in map(str.encode, keys)])


class Message(bytes):
    """A whole command, packed."""


class Packer:
    """What redis-py packs commands with, for connections that also take a `Message`."""

    def __init__(self) -> None:
        self._usual = HiredisRespSerializer()

    def pack(self, *arguments: Any) -> Sequence[bytes]:
        """The parts to send."""
        if type(arguments[-1]) is Message:
            return [arguments[-1]]
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
    if redis.connection_pool.connection_kwargs.get("command_packer") is not PACKER:
        values: Any = redis.mget(list(_unpacked(keys)))
    else:
        message = Message(b"*%d\r\n%b%b" % (count + _COUNT_OF_COMMAND, _HEAD, keys))
        watched = "execute_command" in vars(redis)  # each command is wrapped, and wants to be seen
        run: Any = redis.execute_command
        values = run("MGET", message) if watched else _exchange(redis, message, meanwhile)
    answer: list[bytes | None] = values
    return answer


def _exchange(redis: Redis, message: Message, meanwhile: Callable[[], None]) -> Any:
    """As redis-py runs a command: a connection that was lost, or that hangs, is given a second try."""
    pool: Any = redis.connection_pool
    for second in (False, True):
        connection = pool.get_connection()
        try:
            connection.send_packed_command([message])
            meanwhile()
            return connection.read_response()
        except (RedisConnectionError, RedisTimeoutError):
            connection.disconnect()
            if second:
                raise
        except BaseException:  # its answer is still to come
            connection.disconnect()
            raise
        finally:
            pool.release(connection)
    raise AssertionError("not reached")


def _unpacked(keys: bytes) -> Iterable[bytes]:
    at = 0
    while at < len(keys):
        end = keys.index(b"\r\n", at)
        start, length = end + 2, int(keys[at + 1 : end])
        yield keys[start : start + length]
        at = start + length + 2
