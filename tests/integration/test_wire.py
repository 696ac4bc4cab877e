"""Packed messages say what redis-py would say, though connections break and scripts are forgotten."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from adbid.data.ledger_client import Client
from adbid.data.wire import PACKER, mget, packed, post, settle, takes_messages, unpacked

SCRIPT = "return {KEYS[1], KEYS[2], ARGV[1], ARGV[2]}"


@pytest.fixture
def client(redis_client: redis.Redis, redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url, command_packer=PACKER)


def test_keys_packed_in_advance_are_read_by_any_client(redis_client: redis.Redis, redis_url: str) -> None:
    keys = ["plain", "", "å ß", "a\x1fb\r\n$3"]
    redis_client.mset({key: f"value of {key}" for key in keys if key != "plain"})
    expected = [None, *[f"value of {key}".encode() for key in keys[1:]]]
    parts = [packed(*keys[:2]), packed(*keys[2:])]
    assert mget(redis_client, parts, len(keys)) == expected
    with redis.Redis.from_url(redis_url, command_packer=PACKER) as client:
        assert mget(client, parts, len(keys)) == expected


def test_a_connection_that_was_lost_is_made_again(redis_client: redis.Redis, redis_url: str) -> None:
    redis_client.set("key", "value")
    worked = []
    with redis.Redis.from_url(redis_url, command_packer=PACKER) as client:
        for _ in range(2):
            assert mget(client, [packed("key")], 1, lambda: worked.append(1)) == [b"value"]
            redis_client.client_kill_filter(_type="normal", skipme=True)
    assert 2 <= len(worked) <= 4


def test_what_fails_meanwhile_leaves_no_answer_for_the_next(
    redis_client: redis.Redis, redis_url: str
) -> None:
    redis_client.mset({"first": "1", "second": "2"})
    with redis.Redis.from_url(redis_url, command_packer=PACKER) as client:
        with pytest.raises(ZeroDivisionError):
            mget(client, [packed("first")], 1, lambda: print(1 / 0))
        assert mget(client, [packed("second")], 1) == [b"2"]


def test_a_redis_that_is_gone_is_an_error_of_redis() -> None:
    with (
        redis.Redis.from_url("redis://127.0.0.1:1", command_packer=PACKER) as nowhere,
        pytest.raises(redis.ConnectionError),
    ):
        mget(nowhere, [packed("key")], 1)


def test_what_is_packed_can_be_unpacked() -> None:
    keys = ["plain", "", "å ß", "a\x1fb\r\n$3"]
    assert unpacked(packed(*keys)) == [key.encode() for key in keys]


def test_a_script_that_redis_has_forgotten_is_sent_again(client: redis.Redis) -> None:
    scripts = Client(client)
    keys, said = packed("a", "ö"), [b"a", "ö".encode(), b"1.5", "é".encode()]
    for _ in range(2):
        assert scripts.run_packed(SCRIPT, keys, 2, [1.5, "é"]) == said
        client.script_flush()
    worked: list[int] = []
    scripts.run_packed(SCRIPT, keys, 2, ["x", b"y"])
    scripts.run_packed(SCRIPT, keys, 2, ["x", b"y"], lambda: worked.append(1))
    assert worked == [1]
    client.close()


def test_a_client_that_is_watched_or_packs_by_itself_gets_plain_commands(
    client: redis.Redis, redis_client: redis.Redis
) -> None:
    assert takes_messages(client)
    assert not takes_messages(redis_client)
    seen: list[str] = []
    run = client.execute_command

    def watch(*command: str, **options: object) -> object:
        seen.append(command[0])
        return run(*command, **options)

    client.execute_command = watch  # type: ignore[method-assign]
    assert not takes_messages(client)
    assert mget(client, [packed("nothing")], 1) == [None]
    assert Client(client).run_packed(SCRIPT, packed("a", "b"), 2, ["c", "d"]) == [b"a", b"b", b"c", b"d"]
    assert seen[0] == "MGET"
    assert "EVALSHA" in seen
    client.close()


def test_an_error_of_a_script_leaves_the_connection_as_it_was(client: redis.Redis) -> None:
    scripts = Client(client)
    for _ in range(2):
        with pytest.raises(redis.ResponseError, match="wrong"):
            scripts.run_packed("return redis.error_reply('wrong')", b"", 0, [])
        assert mget(client, [packed("nothing")], 1) == [None]
    client.close()


def test_what_is_posted_after_redis_hung_up_arrives(client: redis.Redis, redis_client: redis.Redis) -> None:
    message = b"*3\r\n" + packed("CLIENT", "REPLY", "SKIP") + b"*2\r\n" + packed("INCR", "posted")
    for number in range(1, 4):
        post(client, message)
        assert mget(client, [packed("posted")], 1) == [b"%d" % number]
    redis_client.client_kill_filter(_type="normal", skipme=True)
    assert mget(client, [packed("posted")], 1) == [b"3"]
    assert len(client.connection_pool._in_use_connections) == 1
    client.close()


def test_what_was_posted_is_done_once_it_is_waited_for(
    client: redis.Redis, redis_client: redis.Redis
) -> None:
    slow = "for i = 1, 300000 do redis.call('EXISTS', 'x') end return redis.call('INCR', 'posted')"
    message = b"*3\r\n" + packed("CLIENT", "REPLY", "SKIP") + b"*3\r\n" + packed("EVAL", slow, "0")
    for number in range(1, 4):
        post(client, message)
        settle(client)
        assert redis_client.get("posted") == b"%d" % number
    client.close()


def test_threads_have_a_connection_each(client: redis.Redis) -> None:
    client.mset({f"key{n}": f"value{n}" for n in range(200)})
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: mget(client, [packed(f"key{n}")], 1), range(200)))
    assert found == [[b"value%d" % n] for n in range(200)]
    assert len(client.connection_pool._in_use_connections) <= 4
    client.close()


def test_a_process_that_was_forked_has_connections_of_its_own(client: redis.Redis) -> None:
    client.mset({"parent": "p", "child": "c"})
    assert mget(client, [packed("parent")], 1) == [b"p"]
    child = os.fork()
    if child == 0:
        right = all(mget(client, [packed("child")], 1) == [b"c"] for _ in range(50))
        os._exit(0 if right else 1)
    for _ in range(50):
        assert mget(client, [packed("parent")], 1) == [b"p"]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    client.close()
