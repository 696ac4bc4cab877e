"""What the monitor keeps from one minute to the next, in Redis, as one packed value.

`monitor:state` is a hash: `minute`, and `state` (a line of JSON with the brands' ids, then one row of doubles
per column). When it is lost, steering starts again from the nightly prices. `monitor:minute:<minute>` says
that somebody is at that minute, or was.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import orjson
from redis import Redis

from adbid.domain.steering_step import State

KEY = "monitor:state"
TTL_SECONDS = 36 * 3600
"""Prices that old say nothing any more."""

_CLAIMED_SECONDS = 3600
_COLUMNS = tuple(column.name for column in fields(State) if column.name != "minute")
_TYPES: dict[str, Any] = {"night": np.int64, "day": np.int64, "below": np.int64, "standing": np.int8}

# KEYS: the state; ARGV: minute, state, lifetime. 0 when a later minute, or this one, is stored already.
_SET_IF_LATER = """
local stored = redis.call('HGET', KEYS[1], 'minute')
if stored and tonumber(stored) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'minute', ARGV[1], 'state', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""


@dataclass(frozen=True)
class Stored:
    """A state and the brands it runs over."""

    brands: list[str]
    state: State


class StateStore:
    """Claims minutes, and keeps the latest one's state."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._set_if_later = redis.register_script(_SET_IF_LATER)

    def claim(self, minute: int) -> bool:
        """Whether this minute is the caller's: the first one to ask gets it."""
        return bool(self._redis.set(f"monitor:minute:{minute}", b"", nx=True, ex=_CLAIMED_SECONDS))

    def get(self) -> Stored | None:
        """The latest state; None when it is lost, or of another shape than this release's."""
        minute, packed = self._redis.hmget(KEY, ["minute", "state"])
        if minute is None or packed is None:
            return None
        head, _, body = bytes(packed).partition(b"\n")  # type: ignore[arg-type]
        about = orjson.loads(head)
        if about["columns"] != list(_COLUMNS):
            return None
        rows = np.frombuffer(body, dtype="<f8").reshape(len(_COLUMNS), len(about["brands"]))
        columns = {
            name: row.astype(_TYPES.get(name, np.float64)) for name, row in zip(_COLUMNS, rows, strict=True)
        }
        return Stored(about["brands"], State(int(minute), **columns))

    def put(self, stored: Stored) -> bool:
        """Keeps a state, unless one of its minute or later is kept already: then False."""
        head = orjson.dumps({"brands": stored.brands, "columns": _COLUMNS})
        body = np.stack([getattr(stored.state, name).astype("<f8") for name in _COLUMNS]).tobytes()
        answer = self._set_if_later(keys=[KEY], args=[stored.state.minute, head + b"\n" + body, TTL_SECONDS])
        return bool(answer)
