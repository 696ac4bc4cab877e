"""Publishing and going back, on a real Redis, a database and S3's protocol: each step, each way to fail."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from redis.exceptions import ConnectionError as RedisDown

from adbid import wiring
from adbid.data import model_versions
from adbid.data.models import LocalFiles, ModelCache, ModelFiles, Pointer, RetrainLock, S3Files, checksum
from adbid.domain.errors import Conflict, Invalid, NotFound, Unavailable
from adbid.engine.models import BadModel, ModelLoader
from adbid.engine.publishing import Candidate, Publisher
from adbid.ml.features import SCHEMA_HASH
from tests.support.candidates import candidate
from tests.support.s3 import BUCKET, s3  # noqa: F401  # a fixture
from tests.support.world import NOW, World, world  # noqa: F401  # a fixture


class Shop:
    """A publisher and the instances that serve what it publishes."""

    def __init__(self, files: ModelFiles | None) -> None:
        self.cache = ModelCache(wiring.redis_client())
        self.files = files
        self.publisher = Publisher(wiring.database(), self.cache, files)

    def instance(self) -> ModelLoader:
        return ModelLoader(self.cache, self.files)

    def publish(self, one: Candidate) -> str:
        self.publisher.publish(one, expected=self.cache.pointer())
        return one.pointer.version

    def status(self) -> dict[str, str]:
        with wiring.database().read() as connection:
            rows = connection.execute(model_versions.model_version.select()).all()
        return {row.version: row.status for row in rows}

    def row(self, version: str) -> model_versions.VersionRow:
        with wiring.database().read() as connection:
            found = model_versions.find(connection, version)
        assert found is not None
        return found


@pytest.fixture(params=["s3", "folder"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> ModelFiles:
    if request.param == "s3":
        return S3Files(BUCKET, request.getfixturevalue("s3"))
    return LocalFiles(tmp_path / "models")


@pytest.fixture
def shop(world: World, files: ModelFiles) -> Shop:  # noqa: F811
    return Shop(files)


A, B = candidate("a"), candidate("b")


class TestPublish:
    def test_a_warm_instance_serves_it_with_the_next_pointer(self, shop: Shop) -> None:
        instance = shop.instance()
        assert instance.serving()[0].version == "packaged-1"
        first = shop.publish(A)
        assert instance.serving()[0].version == first
        second = shop.publish(B)
        assert instance.serving()[0].version == second
        assert shop.status() == {first: "retired", second: "published"}

    def test_the_files_say_what_was_learned_from_what(self, shop: Shop, files: ModelFiles) -> None:
        version = shop.publish(A)
        assert files.blob(version) == A.blob
        assert files.current() == A.pointer.encode()
        row = shop.row(version)
        assert (row.checksum, row.training_from, row.training_to) == (
            checksum(A.blob),
            NOW - timedelta(days=30),
            NOW,
        )
        assert row.metrics == {"name": "a"}

    def test_a_version_is_written_once(self, files: ModelFiles) -> None:
        files.write("v1", b"one", {})
        with pytest.raises(Conflict, match="written already"):
            files.write("v1", b"two", {})
        assert files.blob("v1") == b"one"

    def test_metadata_lies_beside_the_model(self, world: World, s3: Any) -> None:  # noqa: F811
        version = Shop(S3Files(BUCKET, s3)).publish(A)
        listed = {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
        assert listed == {
            f"models/{version}/model.bin",
            f"models/{version}/metadata.json",
            "models/current.json",
        }
        body = s3.get_object(Bucket=BUCKET, Key=f"models/{version}/metadata.json")["Body"].read()
        told = orjson.loads(body)
        assert told["checksum"] == checksum(A.blob)
        assert told["schema"] == SCHEMA_HASH
        assert told["training_to"] == NOW.isoformat()

    def test_a_pointer_that_moved_meanwhile_wins(self, shop: Shop) -> None:
        first = shop.publish(A)
        other = candidate("other")
        with pytest.raises(Conflict):
            shop.publisher.publish(B, expected=other.pointer.encode())
        assert shop.instance().serving()[0].version == first
        assert shop.status() == {first: "published", B.pointer.version: "rejected"}
        assert shop.row(B.pointer.version).metrics["reason"] == "model_moved"

    def test_an_emptied_redis_is_filled_again(self, shop: Shop, redis_client: redis.Redis) -> None:
        shop.publish(A)
        expected = shop.cache.pointer()
        redis_client.flushdb()
        shop.publisher.publish(B, expected=expected)
        assert shop.instance().serving()[0].version == B.pointer.version

    def test_the_bytes_before_expire(self, shop: Shop, redis_client: redis.Redis) -> None:
        first, second = shop.publish(A), shop.publish(B)
        assert 0 < redis_client.ttl(f"model:{first}") <= 3600  # type: ignore[operator]
        assert redis_client.ttl(f"model:{second}") == -1

    def test_without_files_redis_is_all_there_is(self, world: World) -> None:  # noqa: F811
        shop = Shop(None)
        version = shop.publish(A)
        assert shop.instance().serving()[0].version == version


def failing(step: str) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise RedisDown("down") if step in ("store", "move") else Unavailable("down", "down")

    return fail


class TestFailures:
    """Whatever fails before the pointer has moved leaves the model before."""

    @pytest.mark.parametrize("step", ["write", "store", "move"])
    def test_the_model_before_serves(self, shop: Shop, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
        first = shop.publish(A)
        target = shop.files if step == "write" else shop.cache
        monkeypatch.setattr(target, step, failing(step))
        with pytest.raises(Unavailable):
            shop.publish(B)
        monkeypatch.undo()
        assert shop.instance().serving()[0].version == first
        assert shop.status()[first] == "published"
        assert shop.status().get(B.pointer.version) in (None, "rejected")

    def test_a_crash_between_s3_and_the_pointer(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        first = shop.publish(A)
        monkeypatch.setattr(shop.cache, "store", _killed)
        with pytest.raises(KeyboardInterrupt):
            shop.publish(B)
        monkeypatch.undo()
        assert shop.instance().serving()[0].version == first
        wiring.redis_client().flushdb()
        assert shop.instance().current(None)[0].version == first
        last = shop.publish(candidate("the next night's"))
        assert [name for name, status in shop.status().items() if status == "published"] == [last]

    def test_only_the_answer_was_lost(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        move = shop.cache.move

        def moves_without_saying(expected: bytes | None, pointer: Pointer) -> bool:
            move(expected, pointer)
            raise RedisDown("connection lost")

        monkeypatch.setattr(shop.cache, "move", moves_without_saying)
        version = shop.publish(A)
        assert shop.status() == {version: "published"}

    def test_files_that_fail_after_the_pointer_do_no_harm(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shop.files, "set_current", failing("set_current"))
        version = shop.publish(A)
        assert shop.instance().serving()[0].version == version


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


class TestLost:
    def test_bytes_corrupted_in_redis_come_from_the_files(
        self, shop: Shop, redis_client: redis.Redis
    ) -> None:
        version = shop.publish(A)
        redis_client.set(f"model:{version}", A.blob[:-4])
        model, degraded = shop.instance().serving()
        assert (model.version, degraded) == (version, ())

    def test_an_empty_redis_leaves_what_was_published_last(
        self, shop: Shop, redis_client: redis.Redis
    ) -> None:
        version = shop.publish(A)
        redis_client.flushdb()
        assert shop.instance().serving()[0].version == version

    def test_restore_puts_it_back(self, shop: Shop, redis_client: redis.Redis) -> None:
        version = shop.publish(A)
        redis_client.flushdb()
        assert shop.publisher.restore() == version
        assert shop.cache.pointer() == A.pointer.encode()
        assert shop.cache.blob(version) == A.blob

    def test_restore_of_nothing(self, shop: Shop) -> None:
        assert shop.publisher.restore() is None

    def test_s3_down_is_said_and_the_warm_model_stays(self, world: World, s3: Any) -> None:  # noqa: F811
        shop = Shop(S3Files(BUCKET, s3))
        version = shop.publish(A)
        instance = shop.instance()
        assert instance.serving()[0].version == version
        wiring.redis_client().flushdb()
        for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])
        s3.delete_bucket(Bucket=BUCKET)
        with pytest.raises(Unavailable):
            S3Files(BUCKET, s3).write("v", b"", {})
        assert instance.serving()[0].version == version
        model, degraded = shop.instance().serving()
        assert (model.version, degraded) == ("packaged-1", ("model_unavailable",))


class TestRollback:
    def test_to_a_version_that_served(self, shop: Shop) -> None:
        first, second = shop.publish(A), shop.publish(B)
        instance = shop.instance()
        shop.publisher.rollback(first)
        assert instance.serving()[0].version == first
        assert shop.status() == {first: "published", second: "retired"}
        assert shop.files is not None
        assert shop.files.current() == A.pointer.encode()
        shop.publisher.rollback(second)
        assert instance.serving()[0].version == second

    def test_twice_is_once(self, shop: Shop) -> None:
        first = shop.publish(A)
        shop.publish(B)
        shop.publisher.rollback(first)
        shop.publisher.rollback(first)
        assert shop.status()[first] == "published"

    def test_to_what_there_is_not(self, shop: Shop) -> None:
        with pytest.raises(NotFound):
            shop.publisher.rollback("never-was")

    def test_to_what_was_rejected(self, shop: Shop) -> None:
        shop.publish(A)
        shop.publisher.reject(B, "worse", "in every way", {})
        with pytest.raises(Conflict):
            shop.publisher.rollback(B.pointer.version)

    def test_to_bytes_that_are_not_what_they_were(self, world: World, tmp_path: Path) -> None:  # noqa: F811
        shop = Shop(LocalFiles(tmp_path))
        first, second = shop.publish(A), shop.publish(B)
        (tmp_path / first / "model.bin").write_bytes(A.blob[:-1])
        with pytest.raises(BadModel):
            shop.publisher.rollback(first)
        assert shop.instance().serving()[0].version == second
        assert shop.status()[second] == "published"

    def test_to_bytes_that_are_gone(self, world: World) -> None:  # noqa: F811
        shop = Shop(None)
        first, second = shop.publish(A), shop.publish(B)
        wiring.redis_client().delete(f"model:{first}")
        with pytest.raises(NotFound, match="gone"):
            shop.publisher.rollback(first)
        assert shop.instance().serving()[0].version == second

    def test_no_path_leads_out_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "model.bin").write_bytes(b"secret")
        with pytest.raises(Invalid):
            LocalFiles(tmp_path / "models").blob("..")


class TestLock:
    def test_one_holds_it(self, redis_client: redis.Redis) -> None:
        first, second = RetrainLock(redis_client, 60), RetrainLock(redis_client, 60)
        assert first.acquire()
        assert not second.acquire()
        second.release()
        assert not second.acquire()
        first.release()
        assert second.acquire()

    def test_it_expires(self, redis_client: redis.Redis) -> None:
        RetrainLock(redis_client, 12.2).acquire()
        assert 12 <= redis_client.ttl("model:retraining") <= 13  # type: ignore[operator]
