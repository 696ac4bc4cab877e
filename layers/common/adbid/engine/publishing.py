"""Publishing a model, and going back to one: in steps of which the last one, the pointer, makes it serve.

1. The files of the version, under a name that was never used before.
2. Its row in `model_version`: published, and the one before retired.
3. Its bytes in Redis, and then the pointer, unless somebody else has moved it meanwhile.
4. `current.json` beside the files, for instances that start while Redis has no pointer.

Whatever fails before the pointer moves leaves the model before serving, and its row is put right again.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import Connection

from adbid.data import model_versions
from adbid.data.database import Database
from adbid.data.model_versions import PUBLISHED, REJECTED, VersionRow
from adbid.data.models import BadPointer, ModelCache, ModelFiles, Pointer, checksum
from adbid.domain.errors import Conflict, NotFound, Unavailable
from adbid.engine.models import read_model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A trained model. `about` is its metadata: parameters, metrics and the training window among it."""

    pointer: Pointer
    blob: bytes
    created_at: datetime
    training_from: datetime
    training_to: datetime
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]
    schema: str

    @classmethod
    def of(cls, blob: bytes, created_at: datetime, **about: Any) -> "Candidate":
        """Named by the time and the contents, so that no two share a name."""
        digest = checksum(blob)
        version = f"{created_at:%Y%m%dT%H%M%SZ}-{digest[:8]}"
        return cls(Pointer(version, digest), blob, created_at, **about)

    def row(self, status: str, **metrics: Any) -> VersionRow:
        return VersionRow(
            version=self.pointer.version,
            created_at=self.created_at,
            status=status,
            training_from=self.training_from,
            training_to=self.training_to,
            checksum=self.pointer.checksum,
            parameters=self.parameters,
            metrics={**self.metrics, **metrics},
        )

    def metadata(self) -> dict[str, Any]:
        """What metadata.json says beside the model's bytes."""
        return {
            "version": self.pointer.version,
            "checksum": self.pointer.checksum,
            "schema": self.schema,
            "created_at": self.created_at.isoformat(),
            "training_from": self.training_from.isoformat(),
            "training_to": self.training_to.isoformat(),
            "parameters": self.parameters,
            "metrics": self.metrics,
        }


class Publisher:
    """Moves the pointer. `files` None: no store but Redis, and nothing to go back to once that is lost."""

    def __init__(self, database: Database, cache: ModelCache, files: ModelFiles | None) -> None:
        self._database = database
        self._cache = cache
        self._files = files

    def publish(self, candidate: Candidate, *, expected: bytes | None) -> None:
        """Makes `candidate` serve in place of what the pointer `expected` names.

        Raises Conflict when another model serves by now or the version exists, Unavailable when a store can't
        be reached: then what served before still does.
        """
        if self._files is not None:
            self._files.write(candidate.pointer.version, candidate.blob, candidate.metadata())
        row = candidate.row(PUBLISHED)

        def enter(connection: Connection) -> None:
            if model_versions.find(connection, row.version) is None:
                model_versions.add(connection, row)
            model_versions.promote(connection, row.version)

        self._database.transaction(enter)
        try:
            self._serve(candidate.pointer, candidate.blob, expected)
        except (Conflict, Unavailable) as error:
            self._take_back(row, error.code, expected)
            raise

    def reject(self, candidate: Candidate, reason: str, detail: str, metrics: Mapping[str, Any]) -> None:
        """Remembers a model that is not to serve, and why."""
        row = candidate.row(REJECTED, **metrics, reason=reason, detail=detail)
        self._database.transaction(lambda connection: model_versions.add(connection, row))

    def rollback(self, version: str) -> None:
        """Makes a version serve that did before, if its bytes are whole and this code can read them.

        Raises NotFound for a version that isn't there, Conflict for one that was rejected, BadModel where the
        bytes are not whole or not for this code, Unavailable.
        """
        with self._database.read() as connection:
            row = model_versions.find(connection, version)
        if row is None:
            raise NotFound("unknown_model_version", f"there is no model version {version}")
        if row.status == REJECTED:
            raise Conflict("model_version_rejected", f"model version {version} was rejected: it never served")
        pointer = Pointer(version, row.checksum)
        blob = self._blob(version)
        read_model(pointer, blob)
        self._serve(pointer, blob, self._pointer())
        self._database.transaction(lambda connection: model_versions.promote(connection, version))

    def serving(self) -> str | None:
        """The version that decisions are made with, or will be once Redis holds it again.

        None for the packaged one. Raises Unavailable.
        """
        return _named(self._stored(self._pointer()))

    def restore(self) -> str | None:
        """Puts back into Redis what was published last, where it was lost; the version that serves then."""
        expected = self._pointer()
        stored = self._stored(expected)
        if stored is None:
            return None
        pointer = Pointer.parse(stored)
        blob = self._blob(pointer.version)
        read_model(pointer, blob)
        self._serve(pointer, blob, expected)
        return pointer.version

    def _stored(self, pointer: bytes | None) -> bytes | None:
        """`pointer`, which Redis holds; where that was lost, what the files say serves."""
        if _named(pointer) is None and self._files is not None:
            return self._files.current()
        return pointer if _named(pointer) else None

    def _take_back(self, row: VersionRow, reason: str, expected: bytes | None) -> None:
        """Says of a version that it never served, and which one does."""
        with suppress(RedisError):
            expected = self._cache.pointer() or expected
        serving = _named(expected)
        self._database.transaction(
            lambda connection: model_versions.withdraw(connection, row, reason, serving)
        )

    def _serve(self, pointer: Pointer, blob: bytes, expected: bytes | None) -> None:
        """Bytes first, pointer last."""
        try:
            self._cache.store(pointer.version, blob)
            moved = self._cache.move(expected, pointer)
        except RedisError as error:
            if not self._arrived(pointer):
                raise Unavailable("redis_unavailable", "Redis cannot be reached right now.") from error
            moved = True  # only the answer was lost
        if not moved:
            raise Conflict("model_moved", "another model was published or rolled back to meanwhile")
        before = _named(expected)
        if before is not None and before != pointer.version:
            with suppress(RedisError):
                self._cache.retire(before)
        if self._files is not None:
            try:
                self._files.set_current(pointer.encode())
            except Unavailable as error:
                logger.warning("model %s serves, but the files don't say so: %s", pointer.version, error)

    def _arrived(self, pointer: Pointer) -> bool:
        try:
            return self._cache.pointer() == pointer.encode()
        except RedisError:
            return False

    def _pointer(self) -> bytes | None:
        try:
            return self._cache.pointer()
        except RedisError as error:
            raise Unavailable("redis_unavailable", "Redis cannot be reached right now.") from error

    def _blob(self, version: str) -> bytes:
        """The stored bytes of a version. Raises NotFound when nobody has them any more."""
        blob = self._files.blob(version) if self._files is not None else None
        if blob is None:
            with suppress(RedisError):
                blob = self._cache.blob(version)
        if blob is None:
            raise NotFound("model_bytes_missing", f"the bytes of model version {version} are gone")
        return blob


def _named(document: bytes | None) -> str | None:
    """The version that a pointer names; None where there is none, or it is no pointer."""
    try:
        return Pointer.parse(document).version if document else None
    except BadPointer:
        return None
