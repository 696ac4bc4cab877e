"""A private Redis cluster for the tests: three primaries on free ports, gone with the process."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from time import monotonic, sleep

from redis import Redis, RedisError
from redis.cluster import RedisCluster

from tests.support.availability import CannotBeHad
from tests.support.processes import free_port, private_folder, running
from tests.support.servers import _redis_program as redis_program

_SLOTS = 16_384
_SECONDS = 30.0


@contextmanager
def redis_cluster(nodes: int = 3) -> Iterator[RedisCluster]:
    """A client (bytes in, bytes out) of an empty cluster. Raises CannotBeHad."""
    password = secrets.token_hex(16)
    with ExitStack() as stack:
        ports = [_start(stack, password) for _ in range(nodes)]
        clients = [
            stack.enter_context(Redis(host="127.0.0.1", port=port, password=password)) for port, _ in ports
        ]
        for number, client in enumerate(clients):
            first, last = number * _SLOTS // nodes, (number + 1) * _SLOTS // nodes - 1
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER MEET", "127.0.0.1", *ports[0])
        _wait(clients)
        cluster = RedisCluster(host="127.0.0.1", port=ports[0][0], password=password)
        stack.callback(cluster.close)
        yield cluster


def _start(stack: ExitStack, password: str) -> tuple[int, int]:
    """A node; its port for clients and that for other nodes."""
    port, bus = free_port(), free_port()
    folder = stack.enter_context(private_folder("cluster"))
    (folder / "redis.conf").write_text(
        f"bind 127.0.0.1\nport {port}\ncluster-enabled yes\ncluster-port {bus}\ncluster-node-timeout 5000\n"
        f'requirepass {password}\nmasterauth {password}\nsave ""\nappendonly no\n'
    )
    command = (redis_program(), "redis.conf")
    stack.enter_context(running("Redis", command, folder, partial(_answers, port, password)))
    return port, bus


def _answers(port: int, password: str) -> bool:
    try:
        with Redis(host="127.0.0.1", port=port, password=password, socket_timeout=5) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _wait(clients: list[Redis]) -> None:
    """Until every node knows that all slots are served."""
    deadline = monotonic() + _SECONDS
    for client in clients:
        while client.cluster("INFO")["cluster_state"] != "ok" or len(client.cluster("NODES")) < len(clients):
            if monotonic() > deadline:
                raise CannotBeHad(f"the cluster wasn't ready within {_SECONDS:.0f} s")
            sleep(0.05)
