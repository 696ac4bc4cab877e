"""The decayed sums of every cell, in Redis: what scoring knows of the past, one packed value per cell.

A *generation* is one complete set of sums with one landmark. The key `cells` names the current one;
`cell:<schema>-<generation>:<cell>` holds H·M little-endian doubles (`decay.HALF_LIVES_DAYS` ×
`decay.MEASURES`). A cell that is missing in the current generation has no data. Where the `cells` key is
missing, or names a generation of another `SCHEMA`, the sums are lost and must be rebuilt from MySQL
(`adbid.data.rebuild`).
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from redis import Redis

from adbid.domain.context import LEVELS, chain
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES, age_days, weights

Array = NDArray[np.float64]

POINTER = "cells"
WIDTH = len(HALF_LIVES_DAYS) * len(MEASURES)
CELL_BYTES = 8 * WIDTH

SCHEMA = 2
"""Of what cells are named by (`context.chain`) and hold: whoever changes that raises it."""

NO_DATA = bytes(CELL_BYTES)

_READABLE = f"{SCHEMA}-".encode()
_BRAND = LEVELS.index("brand")
_CELLS_PER_CALL = 500  # keeps one script call near a millisecond: Redis serves nobody else meanwhile
_APPLIED_SECONDS = 7 * 86_400  # a delta is retried for at most this long
_RETIRED_SECONDS = 600  # readers may still hold the pointer of the generation before

# KEYS: pointer, marker of this delta, cells…; ARGV: expected pointer, marker's lifetime, packed increments.
# 1: added; 0: this delta was added before; -1: the generation is no longer current.
_ADD = f"""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end
if not redis.call('SET', KEYS[2], '', 'NX', 'EX', ARGV[2]) then return 0 end
local format = '<{"d" * WIDTH}'
for i = 3, #KEYS do
  local from = (i - 3) * {CELL_BYTES} + 1
  local stored = redis.call('GET', KEYS[i])
  local value
  if stored then
    local sums = {{struct.unpack(format, stored)}}
    local more = {{struct.unpack(format, ARGV[3], from)}}
    for j = 1, {WIDTH} do sums[j] = sums[j] + more[j] end
    value = struct.pack(format, unpack(sums, 1, {WIDTH}))
  else
    value = string.sub(ARGV[3], from, from + {CELL_BYTES - 1})
  end
  redis.call('SET', KEYS[i], value)
end
return 1
"""


@dataclass(frozen=True)
class Increment:
    """What changed in one cell of the finest level and one quarter hour; negative when reversed.

    `context` holds one value per `CONTEXT_DIMENSIONS`; `measures` one number per `decay.MEASURES`.
    """

    market: str
    brand_id: str
    partner_id: str
    slot_id: str
    context: tuple[str, ...]
    bucket_start: datetime
    measures: tuple[float, ...]


@dataclass(frozen=True)
class Generation:
    """One set of sums, and the time its weights are relative to."""

    name: str
    landmark: datetime

    @property
    def pointer(self) -> bytes:
        return f"{SCHEMA}-{self.name} {self.landmark.timestamp():.0f}".encode()

    @classmethod
    def parse(cls, pointer: bytes) -> "Generation":
        """Of a pointer that `readable` has let through."""
        name, landmark = pointer[len(_READABLE) :].decode().split(" ")
        return cls(name, datetime.fromtimestamp(int(landmark), UTC))

    @classmethod
    def new(cls, landmark: datetime) -> "Generation":
        return cls(secrets.token_hex(4), landmark.replace(microsecond=0))

    def key(self, cell: str) -> str:
        return f"cell:{SCHEMA}-{self.name}:{cell}"


def readable(pointer: bytes | None) -> TypeGuard[bytes]:
    """Whether a pointer names sums that this code understands; others are as good as lost."""
    return pointer is not None and pointer.startswith(_READABLE)


def expand(increments: Sequence[Increment], landmark: datetime) -> tuple[list[str], Array]:
    """The cells that `increments` touch, sorted, and what each gains: [cells, H·M] forward-decayed sums."""
    rows: list[int] = []
    cells: list[str] = []
    for row, one in enumerate(increments):
        for cell in chain(one.market, one.brand_id, one.partner_id, one.slot_id, one.context):
            if cell is not None:
                rows.append(row)
                cells.append(cell)
    names = sorted(set(cells))
    place = {name: index for index, name in enumerate(names)}
    ages = np.array([age_days(landmark, one.bucket_start) for one in increments])
    measures = np.array([one.measures for one in increments], dtype=np.float64).reshape(-1, 1, len(MEASURES))
    weighed = (weights(ages)[:, :, None] * measures).reshape(-1, WIDTH)
    gains = np.zeros((len(names), WIDTH))
    np.add.at(gains, [place[cell] for cell in cells], weighed[rows])
    return names, gains


class Counters:
    """The current generation's sums. Every call is one round trip, or one per `_CELLS_PER_CALL` cells."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._add = redis.register_script(_ADD)

    @property
    def redis(self) -> "Redis":
        """The client itself, for what else a rebuild keeps in Redis."""
        return self._redis

    def current(self) -> Generation | None:
        """The current generation; None when the sums are lost."""
        pointer: Any = self._redis.get(POINTER)
        return Generation.parse(pointer) if readable(pointer) else None

    def add(self, generation: Generation, delta: str, increments: Sequence[Increment]) -> bool:
        """Adds `increments` once, however often it is called with the same `delta`.

        False when `generation` is no longer current: the caller looks up the current one and repeats.
        """
        names, gains = expand(increments, generation.landmark)
        for start in range(0, len(names), _CELLS_PER_CALL):
            part = names[start : start + _CELLS_PER_CALL]
            marker = _marker(generation, delta, start)
            answer = self._add(
                keys=[POINTER, marker, *map(generation.key, part)],
                args=[
                    generation.pointer,
                    _APPLIED_SECONDS,
                    gains[start : start + len(part)].astype("<f8").tobytes(),
                ],
            )
            if answer == -1:
                return False
        return True

    def mark(self, generation: Generation, delta: str, increments: Sequence[Increment]) -> None:
        """Notes that `generation` holds this delta already: to `add` it there changes nothing."""
        names, _ = expand(increments, generation.landmark)
        pipeline = self._redis.pipeline(transaction=False)
        for start in range(0, len(names), _CELLS_PER_CALL):
            pipeline.set(_marker(generation, delta, start), b"", ex=_APPLIED_SECONDS)
        pipeline.execute()

    def move_brand(self, brand_id: str, before: str, after: str) -> None:
        """Takes a brand's sums out of the market it left and into the one it joined."""
        generation = self.current()
        if generation is None:
            return
        brand_cell = chain("", brand_id, "", "", ())[_BRAND]
        stored: Any = self._redis.get(generation.key(str(brand_cell)))
        if stored is None:
            return
        sums = np.frombuffer(stored, dtype="<f8")
        left, joined = (chain(market, "", "", "", ())[:_BRAND] for market in (before, after))
        for cells, others, change in ((left, joined, -sums), (joined, left, sums)):
            for cell in cells:
                if cell is not None and cell not in others:
                    keys = [POINTER, generation.key(f"moved:{secrets.token_hex(8)}"), generation.key(cell)]
                    self._add(keys=keys, args=[generation.pointer, _APPLIED_SECONDS, change.tobytes()])

    def write(self, generation: Generation, names: Sequence[str], sums: Array) -> None:
        """Stores the sums of a generation that isn't current yet."""
        if names:
            values = sums.astype("<f8")
            self._redis.mset({generation.key(n): v.tobytes() for n, v in zip(names, values, strict=True)})

    def publish(self, generation: Generation) -> None:
        """Makes `generation` current, and lets the one before expire."""
        before: Any = self._redis.set(POINTER, generation.pointer, get=True)
        if readable(before) and before != generation.pointer:
            self.discard(Generation.parse(before))

    def discard(self, generation: Generation) -> None:
        """Lets a generation's keys expire once nobody can hold its pointer any more."""
        self._retire(self._redis.scan_iter(match=generation.key("*"), count=1000))

    def discard_others(self, generation: Generation) -> None:
        """Lets all keys but `generation`'s expire: also those of a rebuild that died before it published."""
        own = generation.key("").encode()
        keys = self._redis.scan_iter(match="cell:*", count=1000)
        self._retire(key for key in keys if not key.startswith(own))

    def _retire(self, keys: Iterable[Any]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.expire(key, _RETIRED_SECONDS)
            if len(pipeline) >= 1000:
                pipeline.execute()
        pipeline.execute()


def _marker(generation: Generation, delta: str, start: int) -> str:
    return generation.key(f"applied:{delta}:{start}")


def decayed(values: Sequence[bytes | None], landmark: datetime, now: datetime) -> Array:
    """Stored values as evidence at `now`: [cells, H, M]; zeros where a cell is missing."""
    packed = b"".join([value or NO_DATA for value in values] if None in values else values)  # type: ignore[arg-type]
    sums = np.frombuffer(packed, dtype="<f8").reshape(-1, WIDTH)
    evidence: Array = sums * np.repeat(weights(age_days(now, landmark)), len(MEASURES))
    # What was added and taken away again may leave a rounding error below nothing.
    np.maximum(evidence, 0.0, out=evidence)
    return evidence.reshape(-1, len(HALF_LIVES_DAYS), len(MEASURES))
