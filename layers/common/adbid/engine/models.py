"""From the pointer in Redis to a model in memory: Redis first, S3 second, the packaged default last."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from redis.exceptions import RedisError

from adbid.data.models import BadPointer, ModelCache, ModelFiles, Pointer, checksum
from adbid.domain.errors import AdBidError, Unavailable
from adbid.ml import artefact
from adbid.ml.model import PACKAGED, Model, SchemaMismatch

logger = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""How long a model that could not be loaded is left alone: the last good one serves meanwhile."""

UNAVAILABLE = "model_unavailable"
"""Named under `degraded` where the model that should serve can't be had."""


class BadModel(AdBidError):
    """The bytes are not the model they should be. `code`: model_checksum, model_schema, model_contents,
    or one of `adbid.ml.artefact`'s."""


def read_model(pointer: Pointer, blob: bytes) -> Model:
    """The model that the bytes hold, if they are the ones that were published. Raises BadModel."""
    if checksum(blob) != pointer.checksum:
        raise BadModel("model_checksum", f"the bytes of model {pointer.version} are not those published")
    try:
        return Model.from_artefact(pointer.version, artefact.load(blob))
    except artefact.ArtefactError as error:
        raise BadModel(error.code, error.message) from error
    except SchemaMismatch as error:
        raise BadModel("model_schema", str(error)) from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadModel("model_contents", f"model {pointer.version} contradicts itself: {error!r}") from error


@dataclass(frozen=True)
class _Warm:
    """What serves, and the pointer it was loaded for; None for the packaged default."""

    pointer: bytes | None
    model: Model


@dataclass(frozen=True)
class _Failure:
    """What could not be loaded, what to say of it, and until when it isn't tried again (`clock`)."""

    pointer: bytes | None
    degraded: tuple[str, ...]
    until: float


class ModelLoader:
    """The current model, kept in memory. One per instance; safe to share between threads.

    A pointer that hasn't changed costs nothing; a new one costs one read of Redis, and one of the files where
    Redis hasn't got the bytes. Whatever is wrong with a new model, the last good one goes on serving.
    """

    def __init__(
        self,
        cache: ModelCache,
        files: ModelFiles | None,
        *,
        packaged: Model = PACKAGED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._files = files
        self._clock = clock
        self._lock = threading.Lock()
        self._warm = _Warm(None, packaged)
        self._failure: _Failure | None = None

    def current(self, pointer: bytes | None) -> tuple[Model, tuple[str, ...]]:
        """The model that `pointer` (Redis's bytes) names, or the next best, and what is degraded about it.

        Without a pointer (Redis has lost it, or can't be reached) the warm model serves; an instance that has
        none yet asks the files what was published last.
        """
        known = self._known(pointer)
        if known is None:
            with self._lock:
                known = self._known(pointer)  # another thread may have loaded it meanwhile
                if known is None:
                    degraded = self._change(pointer)
                    known = self._warm.model, degraded
        return known

    def serving(self) -> tuple[Model, tuple[str, ...]]:
        """As `current`, for whom no bundle has brought the pointer: it is read for this."""
        try:
            pointer = self._cache.pointer()
        except RedisError:
            pointer = None
        return self.current(pointer)

    def _known(self, pointer: bytes | None) -> tuple[Model, tuple[str, ...]] | None:
        """The answer where it takes no reading."""
        warm, failure = self._warm, self._failure
        if pointer is not None and pointer == warm.pointer:
            return warm.model, ()
        if pointer is None and (warm.pointer is not None or self._files is None):
            return warm.model, ()
        if failure is not None and failure.pointer == pointer and self._clock() < failure.until:
            return warm.model, failure.degraded
        return None

    def _change(self, pointer: bytes | None) -> tuple[str, ...]:
        """Loads what `pointer` names, or what comes closest; what is degraded then."""
        loaded = self._load(pointer) if pointer is not None else None
        degraded: tuple[str, ...] = (UNAVAILABLE,) if pointer is not None and loaded is None else ()
        if loaded is None and self._warm.pointer is None:
            loaded, missing = self._last_published(pointer)
            degraded = degraded or missing
        if loaded is not None:
            self._warm = loaded
        if degraded or self._warm.pointer is None:
            self._failure = _Failure(pointer, degraded, self._clock() + RETRY_SECONDS)
        return degraded

    def _last_published(self, tried: bytes | None) -> tuple[_Warm | None, tuple[str, ...]]:
        """What the files say was published last, unless it is what was `tried`."""
        if self._files is None:
            return None, ()
        try:
            published = self._files.current()
        except Unavailable as error:
            logger.warning("it is not known which model was published last: %s", error)
            return None, (UNAVAILABLE,)
        if published is None or published == tried:
            return None, ()
        loaded = self._load(published)
        return loaded, () if loaded else (UNAVAILABLE,)

    def _load(self, document: bytes) -> _Warm | None:
        try:
            pointer = Pointer.parse(document)
        except BadPointer as error:
            logger.warning("the pointer to the model is not usable: %s", error)
            return None
        for source, fetch in (("Redis", self._from_cache), ("files", self._from_files)):
            blob = fetch(pointer.version)
            if blob is None:
                continue
            try:
                model = read_model(pointer, blob)
            except BadModel as error:
                logger.warning("model %s of %s refused: %s (%s)", pointer.version, source, error, error.code)
                continue
            logger.info("serving model %s, from %s", pointer.version, source)
            return _Warm(document, model)
        logger.warning("model %s can't be loaded from anywhere", pointer.version)
        return None

    def _from_cache(self, version: str) -> bytes | None:
        try:
            return self._cache.blob(version)
        except RedisError as error:
            logger.warning("Redis has not given model %s: %s", version, error)
            return None

    def _from_files(self, version: str) -> bytes | None:
        try:
            return self._files.blob(version) if self._files is not None else None
        except AdBidError as error:
            logger.warning("the stored models have not given %s: %s", version, error)
            return None
