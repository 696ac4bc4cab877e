"""The file that carries a trained model from trainer to score path; docs/model-format.md has its layout.

Its bytes hold tree ensembles by name, arrays of float64 by name, and free JSON metadata; nothing in it is
executed. A file is taken whole or refused:

    ArtefactError
    ├── NotAnArtefact   artefact_unknown     it doesn't begin as an artefact does
    ├── TooNew          artefact_too_new     written in a later version of the format
    ├── Truncated       artefact_truncated   its end is missing
    └── Corrupt         artefact_corrupt     something in it was altered
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adbid.domain.errors import AdBidError
from adbid.ml.forest import ARRAYS, Floats, Forest
from adbid.ml.trees import Trees

FORMAT_VERSION = 1

_MAGIC = b"ADBIDMDL"
_PREFIX = struct.Struct("<8sIIQ")
"""Magic, format version, length of the header in bytes, length of the file in bytes."""
_DIGEST = slice(_PREFIX.size, _PREFIX.size + 32)
_ALIGNMENT = 8


class ArtefactError(AdBidError):
    """The bytes are no artefact that this code can serve. `code` is the class's."""

    CODE: ClassVar[str] = "artefact_invalid"

    def __init__(self, message: str) -> None:
        super().__init__(self.CODE, message)


class NotAnArtefact(ArtefactError):
    """The bytes are something else."""

    CODE = "artefact_unknown"


class TooNew(ArtefactError):
    """A later version of the format: update the code first."""

    CODE = "artefact_too_new"


class Truncated(ArtefactError):
    """Cut short."""

    CODE = "artefact_truncated"


class Corrupt(ArtefactError):
    """The checksum differs, or the contents contradict each other."""

    CODE = "artefact_corrupt"


@dataclass(frozen=True, eq=False)
class Artefact:
    """A loaded artefact. `digest`: the file's SHA-256, in hexadecimal, which names the contents."""

    digest: str
    metadata: Mapping[str, Any]
    ensembles: Mapping[str, Trees]
    arrays: Mapping[str, Floats]


def dump(
    *,
    metadata: Mapping[str, Any],
    ensembles: Mapping[str, Forest],
    arrays: Mapping[str, Floats] | None = None,
) -> bytes:
    """The artefact's bytes; the same contents give the same bytes.

    `metadata` must be JSON (else ValueError or TypeError): what was trained on what, and how well it did.
    """
    writer = _Writer()
    header = {
        "metadata": dict(metadata),
        "ensembles": {name: _describe(forest, writer) for name, forest in sorted(ensembles.items())},
        "arrays": {
            name: writer.add(np.asarray(array, dtype="<f8")) for name, array in sorted((arrays or {}).items())
        },
    }
    text = json.dumps(
        header, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    body = text + b"".join(writer.parts)
    prefix = _PREFIX.pack(_MAGIC, FORMAT_VERSION, len(text), _DIGEST.stop + len(body))
    return prefix + hashlib.sha256(prefix + body).digest() + body


def load(data: bytes) -> Artefact:
    """The artefact in the bytes, its trees ready to evaluate. Raises an ArtefactError."""
    header, digest, body = _verified(data)
    try:
        reader = _Reader(body)
        ensembles = {name: Trees(_forest(about, reader)) for name, about in header["ensembles"].items()}
        arrays = {name: reader.array(about, "<f8") for name, about in header["arrays"].items()}
        return Artefact(digest, dict(header["metadata"]), ensembles, arrays)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Corrupt(f"the artefact contradicts itself: {error}") from error


def _verified(data: bytes) -> tuple[dict[str, Any], str, memoryview]:
    """Header, digest and sections, once length and checksum are known to be right."""
    if data[: len(_MAGIC)] != _MAGIC[: len(data)]:
        raise NotAnArtefact("these bytes are not a model artefact")
    if len(data) < _DIGEST.stop:
        raise Truncated(f"the artefact ends within its first {_DIGEST.stop} bytes")
    _, version, header_length, length = _PREFIX.unpack_from(data)
    if version > FORMAT_VERSION:
        raise TooNew(f"the artefact is of format {version}; this code reads up to {FORMAT_VERSION}")
    if len(data) < length:
        raise Truncated(f"the artefact has {len(data)} of {length} bytes")
    digest = hashlib.sha256(data[: _PREFIX.size])
    digest.update(memoryview(data)[_DIGEST.stop :])
    if version < 1 or len(data) > length or digest.digest() != data[_DIGEST]:
        raise Corrupt("the artefact's checksum does not match its contents")
    body = memoryview(data)[_DIGEST.stop :]
    try:
        return json.loads(bytes(body[:header_length])), digest.hexdigest(), body[header_length:]
    except ValueError as error:
        raise Corrupt("the artefact's header is not JSON") from error


class _Section(NamedTuple):
    """Where an array lies: its first byte behind the header, its type and its shape."""

    offset: int
    dtype: str
    shape: list[int]


class _Writer:
    """Lays arrays one behind the other, each on an eight-byte boundary."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._length = 0

    def add(self, array: NDArray[Any]) -> _Section:
        section = _Section(self._length, array.dtype.str, list(array.shape))
        raw = array.tobytes()
        self.parts.append(raw + bytes(-len(raw) % _ALIGNMENT))
        self._length += len(self.parts[-1])
        return section


class _Reader:
    """Reads arrays in place, without copying; they can't be written to."""

    def __init__(self, body: memoryview) -> None:
        self._body = body

    def array(self, about: Any, dtype: str) -> NDArray[Any]:
        section = _Section(*about)
        if section.dtype != dtype:
            raise ValueError(f"a section of {section.dtype} where {dtype} is expected")
        if min(section.shape, default=0) < 0:
            raise ValueError("a section of negative length")
        return np.frombuffer(self._body, dtype, prod(section.shape), section.offset).reshape(section.shape)


def _describe(forest: Forest, writer: _Writer) -> dict[str, Any]:
    return {
        "features": forest.feature_names,
        "link": forest.link,
        "link_scale": forest.link_scale,
        "arrays": {name: writer.add(getattr(forest, name).astype(dtype)) for name, dtype in ARRAYS.items()},
    }


def _forest(about: Mapping[str, Any], reader: _Reader) -> Forest:
    return Forest(
        feature_names=tuple(about["features"]),
        link=about["link"],
        link_scale=float(about["link_scale"]),
        **{name: reader.array(about["arrays"][name], dtype) for name, dtype in ARRAYS.items()},
    )
