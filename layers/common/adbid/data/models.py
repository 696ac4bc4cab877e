"""Where published models are kept for serving: a pointer and the model's bytes in Redis, versions in files.

The key `model` names the version that serves; `adbid.data.hot` reads it with every bundle. The bytes lie
under `model:<version>`. Redis may lose both: `ModelFiles` (S3, or a folder) hold every version for good.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from adbid.data.hot import MODEL
from adbid.domain.errors import Conflict, Invalid, Unavailable

if TYPE_CHECKING:
    from redis import Redis

PREFIX = "models"
BLOB = "model.bin"
METADATA = "metadata.json"
CURRENT = "current.json"

_RETIRED_SECONDS = 3_600  # instances that have not seen the new pointer yet may still ask for the old bytes

# KEYS: pointer; ARGV: expected, new. 1: moved, or there already, or Redis was emptied; 0: another one serves.
_MOVE = """
local now = redis.call('GET', KEYS[1])
if now and now ~= ARGV[1] and now ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""

# KEYS: lock; ARGV: token.
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"

LOCK = "model:retraining"

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class BadPointer(ValueError):
    """The bytes name no model."""


@dataclass(frozen=True)
class Pointer:
    """Which version serves. `checksum`: SHA-256 of the model's bytes, in hexadecimal."""

    version: str
    checksum: str

    def encode(self) -> bytes:
        return orjson.dumps({"version": self.version, "checksum": self.checksum})

    @classmethod
    def parse(cls, document: bytes) -> Pointer:
        """Raises BadPointer."""
        try:
            value = orjson.loads(document)
            version, checksum = value["version"], value["checksum"]
        except (ValueError, TypeError, KeyError) as error:
            raise BadPointer("not a pointer to a model") from error
        if not isinstance(version, str) or not isinstance(checksum, str):
            raise BadPointer("a pointer needs the names of a version and a checksum")
        return cls(version, checksum)


def checksum(blob: bytes) -> str:
    """SHA-256 of a model's bytes, in hexadecimal."""
    return hashlib.sha256(blob).hexdigest()


class ModelCache:
    """The serving model in Redis. Every method raises RedisError when Redis can't be reached."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._move = redis.register_script(_MOVE)

    def pointer(self) -> bytes | None:
        stored: Any = self._redis.get(MODEL)
        return bytes(stored) if stored else None

    def blob(self, version: str) -> bytes | None:
        stored: Any = self._redis.get(_blob_key(version))
        return bytes(stored) if stored else None

    def store(self, version: str, blob: bytes) -> None:
        """Keeps the bytes of a version for as long as it isn't retired."""
        self._redis.set(_blob_key(version), blob)

    def move(self, expected: bytes | None, pointer: Pointer) -> bool:
        """Points at another version, unless somebody else has moved the pointer from `expected` meanwhile."""
        return bool(self._move(keys=[MODEL], args=[expected or b"", pointer.encode()]))

    def retire(self, version: str) -> None:
        """Lets the bytes of a version that no longer serves expire."""
        self._redis.expire(_blob_key(version), _RETIRED_SECONDS)


class RetrainLock:
    """One retrain at a time. It expires by itself, `seconds` after it was taken: no retrain lives longer."""

    def __init__(self, redis: Redis, seconds: float) -> None:
        self._redis = redis
        self._seconds = max(1, math.ceil(seconds))
        self._token = secrets.token_hex(16)

    def acquire(self) -> bool:
        """False when another process holds it. Raises RedisError."""
        return bool(self._redis.set(LOCK, self._token, nx=True, ex=self._seconds))

    def release(self) -> None:
        """Lets go of it, if it is still ours. Raises RedisError."""
        self._redis.eval(_RELEASE, 1, LOCK, self._token)


def _blob_key(version: str) -> str:
    return f"{MODEL}:{version}"


class ModelFiles(Protocol):
    """Every published version, for good. All methods raise Unavailable when the store can't be reached."""

    def blob(self, version: str) -> bytes | None: ...

    def write(self, version: str, blob: bytes, metadata: Mapping[str, Any]) -> None:
        """Stores a new version. Raises Conflict when it exists: a version never changes."""
        ...

    def current(self) -> bytes | None:
        """The pointer as last published; None when nothing ever was."""
        ...

    def set_current(self, pointer: bytes) -> None: ...


class LocalFiles:
    """Versions in a folder, for a laptop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def blob(self, version: str) -> bytes | None:
        return self._read(self._place(version) / BLOB)

    def write(self, version: str, blob: bytes, metadata: Mapping[str, Any]) -> None:
        place = self._place(version)
        try:
            place.mkdir(parents=True)
            self._replace(place / METADATA, orjson.dumps(metadata))
            self._replace(place / BLOB, blob)
        except FileExistsError:
            raise _exists(version) from None
        except OSError as error:
            raise _unavailable() from error

    def current(self) -> bytes | None:
        return self._read(self._folder / CURRENT)

    def set_current(self, pointer: bytes) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._replace(self._folder / CURRENT, pointer)
        except OSError as error:
            raise _unavailable() from error

    def _place(self, version: str) -> Path:
        if not _VERSION.fullmatch(version):
            raise Invalid("model_version", "not the name of a model version")
        return self._folder / version

    def _read(self, path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unavailable() from error

    def _replace(self, path: Path, content: bytes) -> None:
        """Whole or not at all, also for those who read meanwhile."""
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise


class S3Files:
    """Versions in a bucket, each under a prefix of its own that is written once."""

    def __init__(self, bucket: str, client: Any = None) -> None:
        self._bucket = bucket
        self._client = client

    def blob(self, version: str) -> bytes | None:
        return self._get(f"{PREFIX}/{version}/{BLOB}")

    def write(self, version: str, blob: bytes, metadata: Mapping[str, Any]) -> None:
        # The conditional write claims the version; the bytes come last, so where they are, all is there.
        for name, content in ((METADATA, orjson.dumps(metadata)), (BLOB, blob)):
            self._put(f"{PREFIX}/{version}/{name}", content, IfNoneMatch="*")

    def current(self) -> bytes | None:
        return self._get(f"{PREFIX}/{CURRENT}")

    def set_current(self, pointer: bytes) -> None:
        self._put(f"{PREFIX}/{CURRENT}", pointer)

    @property
    def client(self) -> Any:
        """Made when first needed: a warm score never imports boto3."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            # A score may be waiting: one quick second try and no more.
            config = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 2})
            self._client = boto3.client("s3", config=config)
        return self._client

    def _get(self, key: str) -> bytes | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self.client.get_object(Bucket=self._bucket, Key=key)
            return bytes(answer["Body"].read())
        except ClientError as error:
            if _code(error) in ("NoSuchKey", "404"):
                return None
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error

    def _put(self, key: str, content: bytes, **conditions: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client.put_object(Bucket=self._bucket, Key=key, Body=content, **conditions)
        except ClientError as error:
            if _code(error) in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise _exists(key.split("/")[1]) from None
            raise _unavailable() from error
        except BotoCoreError as error:
            raise _unavailable() from error


def open_files(bucket: str | None, folder: Path | None) -> ModelFiles | None:
    """The store that the settings name, the bucket first; None where neither is set: then Redis is all."""
    if bucket:
        return S3Files(bucket)
    return LocalFiles(folder) if folder else None


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _exists(version: str) -> Conflict:
    return Conflict("model_version_exists", f"model version {version} is written already")


def _unavailable() -> Unavailable:
    return Unavailable("model_files_unavailable", "The stored models cannot be reached right now.")
