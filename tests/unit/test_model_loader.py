"""From pointer to model: Redis first, files second, the packaged default last; the last good one stays."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisDown

from adbid.data.models import Pointer, checksum
from adbid.domain.errors import Unavailable
from adbid.domain.learned import DEFAULTS
from adbid.engine.models import RETRY_SECONDS, BadModel, ModelLoader, read_model
from adbid.ml.artefact import FORMAT_VERSION, dump
from adbid.ml.features import EMPTY_VOCABULARY, SCHEMA_HASH
from adbid.ml.model import Model

PACKAGED = Model("packaged-test")
DEGRADED = ("model_unavailable",)


def blob(**changes: Any) -> bytes:
    """A small model: what it learned is nothing but the default parameters."""
    about = {
        "schema": SCHEMA_HASH,
        "parameters": DEFAULTS.to_json(),
        "vocabulary": EMPTY_VOCABULARY.to_json(),
        "revenue": {"weight": 0.0, "bias": 0.0},
        "quality": None,
    }
    return dump(metadata=about | changes, ensembles={})


GOOD, OTHER = blob(), blob(note="another one")


def pointer(version: str, content: bytes = GOOD) -> bytes:
    return Pointer(version, checksum(content)).encode()


@dataclass
class Cache:
    """Redis, as far as the loader sees it."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    stored: bytes | None = None
    down: bool = False
    reads: int = 0

    def pointer(self) -> bytes | None:
        if self.down:
            raise RedisDown("down")
        return self.stored

    def blob(self, version: str) -> bytes | None:
        self.reads += 1
        if self.down:
            raise RedisDown("down")
        return self.blobs.get(version)


@dataclass
class Files:
    """S3, likewise."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    published: bytes | None = None
    down: bool = False
    reads: int = 0

    def blob(self, version: str) -> bytes | None:
        self.reads += 1
        if self.down:
            raise Unavailable("down", "down")
        return self.blobs.get(version)

    def current(self) -> bytes | None:
        self.reads += 1
        if self.down:
            raise Unavailable("down", "down")
        return self.published

    def write(self, version: str, content: bytes, metadata: Mapping[str, Any]) -> None:
        raise AssertionError("a loader writes nothing")

    def set_current(self, document: bytes) -> None:
        raise AssertionError("a loader writes nothing")


class Place:
    """A loader between a cache and files, with a clock that stands still."""

    def __init__(self, *, without_files: bool = False) -> None:
        self.cache, self.files, self.now = Cache(), Files(), 1000.0
        self.loader = ModelLoader(
            self.cache,  # type: ignore[arg-type]
            None if without_files else self.files,
            packaged=PACKAGED,
            clock=lambda: self.now,
        )

    def serves(self, document: bytes | None) -> tuple[str, tuple[str, ...]]:
        model, degraded = self.loader.current(document)
        return model.version, degraded

    @property
    def reads(self) -> int:
        return self.cache.reads + self.files.reads


@pytest.fixture
def place() -> Place:
    return Place()


class TestNothingPublished:
    def test_the_packaged_default_serves(self, place: Place) -> None:
        assert place.serves(None) == ("packaged-test", ())

    def test_the_files_are_asked_now_and_then_only(self, place: Place) -> None:
        for _ in range(5):
            place.serves(None)
        assert place.reads == 1
        place.now += RETRY_SECONDS
        place.serves(None)
        assert place.reads == 2

    def test_without_files_nothing_is_asked(self) -> None:
        place = Place(without_files=True)
        assert place.serves(None) == ("packaged-test", ())
        assert place.reads == 0


class TestPublished:
    def test_a_new_pointer_takes_one_read_and_the_same_one_none(self, place: Place) -> None:
        place.cache.blobs["v1"] = GOOD
        assert place.serves(pointer("v1")) == ("v1", ())
        first, _ = place.loader.current(pointer("v1"))
        assert place.loader.current(pointer("v1"))[0] is first
        assert place.reads == 1

    def test_the_next_version_is_picked_up_with_its_pointer(self, place: Place) -> None:
        place.cache.blobs |= {"v1": GOOD, "v2": OTHER}
        place.serves(pointer("v1"))
        assert place.serves(pointer("v2", OTHER)) == ("v2", ())
        assert place.reads == 2

    def test_what_redis_lost_comes_from_the_files(self, place: Place) -> None:
        place.files.blobs["v1"] = GOOD
        assert place.serves(pointer("v1")) == ("v1", ())
        assert (place.cache.reads, place.files.reads) == (1, 1)

    def test_a_lost_pointer_leaves_the_warm_model(self, place: Place) -> None:
        place.cache.blobs["v1"] = GOOD
        place.serves(pointer("v1"))
        assert place.serves(None) == ("v1", ())
        assert place.reads == 1

    def test_a_cold_instance_asks_the_files_what_was_published(self, place: Place) -> None:
        place.files.blobs["v1"], place.files.published = GOOD, pointer("v1")
        assert place.serves(None) == ("v1", ())
        before = place.reads
        assert place.serves(None) == ("v1", ())
        assert place.reads == before

    def test_health_reads_the_pointer_itself(self, place: Place) -> None:
        place.cache.blobs["v1"], place.cache.stored = GOOD, pointer("v1")
        assert place.loader.serving()[0].version == "v1"
        place.cache.down = True
        assert place.loader.serving()[0].version == "v1"


def newer(content: bytes) -> bytes:
    """As a later version of the format would begin."""
    return content[:8] + struct.pack("<I", FORMAT_VERSION + 1) + content[12:]


BROKEN: dict[str, Callable[[], tuple[bytes, str]]] = {
    # what is stored, and the pointer that was published with it
    "cut short": lambda: (GOOD[:-9], checksum(GOOD)),
    "altered": lambda: (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), checksum(GOOD)),
    "empty": lambda: (b"", checksum(GOOD)),
    "another model": lambda: (OTHER, checksum(GOOD)),
    "published cut short": lambda: (GOOD[:-9], checksum(GOOD[:-9])),
    "newer format": lambda: (newer(GOOD), checksum(newer(GOOD))),
    "other features": lambda: ((other := blob(schema="0" * 16)), checksum(other)),
    "no parameters": lambda: ((other := blob(parameters={})), checksum(other)),
    "parameters of another shape": lambda: ((other := blob(parameters=[1])), checksum(other)),
    "no model at all": lambda: (b"hello", checksum(b"hello")),
}


@pytest.mark.parametrize("name", BROKEN)
class TestBroken:
    def test_the_last_good_model_stays(self, place: Place, name: str) -> None:
        content, digest = BROKEN[name]()
        place.cache.blobs |= {"v1": GOOD, "v2": content}
        place.files.blobs["v2"] = content
        place.serves(pointer("v1"))
        assert place.serves(Pointer("v2", digest).encode()) == ("v1", DEGRADED)

    def test_a_cold_instance_falls_back_to_the_default(self, place: Place, name: str) -> None:
        content, digest = BROKEN[name]()
        place.cache.blobs["v2"] = content
        assert place.serves(Pointer("v2", digest).encode()) == ("packaged-test", DEGRADED)

    def test_whole_bytes_in_the_files_help(self, place: Place, name: str) -> None:
        place.cache.blobs["v1"] = BROKEN[name]()[0]
        place.files.blobs["v1"] = GOOD
        assert place.serves(pointer("v1")) == ("v1", ())


class TestUnavailable:
    def test_it_is_tried_again_only_after_a_while(self, place: Place) -> None:
        asked = pointer("v1")
        assert place.serves(asked) == ("packaged-test", DEGRADED)
        before = place.reads
        assert place.serves(asked) == ("packaged-test", DEGRADED)
        assert place.reads == before
        place.cache.blobs["v1"] = GOOD
        place.now += RETRY_SECONDS
        assert place.serves(asked) == ("v1", ())

    def test_another_pointer_is_tried_at_once(self, place: Place) -> None:
        place.serves(pointer("v1"))
        place.cache.blobs["v2"] = OTHER
        assert place.serves(pointer("v2", OTHER)) == ("v2", ())

    def test_s3_and_redis_down_keep_the_warm_model(self, place: Place) -> None:
        place.cache.blobs["v1"] = GOOD
        place.serves(pointer("v1"))
        place.cache.down = place.files.down = True
        assert place.serves(None) == ("v1", ())
        assert place.serves(pointer("v2")) == ("v1", DEGRADED)

    def test_a_cold_instance_says_that_it_does_not_know(self, place: Place) -> None:
        place.files.down = True
        assert place.serves(None) == ("packaged-test", DEGRADED)

    def test_what_was_published_before_is_better_than_the_default(self, place: Place) -> None:
        place.files.blobs["v1"], place.files.published = GOOD, pointer("v1")
        assert place.serves(pointer("v2", OTHER)) == ("v1", DEGRADED)
        assert place.serves(pointer("v2", OTHER)) == ("v1", DEGRADED)

    @pytest.mark.parametrize("document", [b"", b"v1", b"[]", b'{"version": 1, "checksum": 2}', b"\xff"])
    def test_a_pointer_that_is_none(self, place: Place, document: bytes) -> None:
        place.cache.blobs["v1"] = GOOD
        place.serves(pointer("v1"))
        assert place.serves(document) == ("v1", DEGRADED)


def test_errors_name_what_is_wrong() -> None:
    codes = {}
    for name, make in BROKEN.items():
        content, digest = make()
        with pytest.raises(BadModel) as caught:
            read_model(Pointer("v", digest), content)
        codes[name] = caught.value.code
    assert codes == {
        "cut short": "model_checksum",
        "altered": "model_checksum",
        "empty": "model_checksum",
        "another model": "model_checksum",
        "published cut short": "artefact_truncated",
        "newer format": "artefact_too_new",
        "other features": "model_schema",
        "no parameters": "model_contents",
        "parameters of another shape": "model_contents",
        "no model at all": "artefact_unknown",
    }
