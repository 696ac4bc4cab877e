"""`make run`: the whole product in one process on 127.0.0.1, until Ctrl-C."""

import argparse
import errno
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import OperationalError

import migrations
from adbid import wiring
from adbid.settings import CacheSettings, DatabaseSettings, SettingsError, read_settings
from local import dashboard, demo, learning, live
from local.client import ApiError, Client
from local.dashboard import Building
from local.embedded import redis_server, sqlite_url, stop_leftover
from local.events import Answer
from local.gateway import TEMPLATE, Gateway, LocalServer
from local.home import home
from local.keys import LocalIssuer
from local.occupancy import occupied
from local.schedule import Scheduler
from local.template import load_template, read_schedules
from local.tokens import mint

DEFAULT_PORT = 8000
THREADS = 4  # per function; a Lambda would start an instance each
TOKEN_SECONDS = 12 * 3600
POLL_SECONDS = 0.2

CANNOT_START = (OSError, OperationalError, SettingsError)
"""What `running` raises: a product runs on the folder already, the port is taken, the folder can't be
written, a server or a setting is wrong."""


@dataclass(frozen=True)
class Stack:
    """A running product: where it answers, and who signs its tokens."""

    url: str
    issuer: LocalIssuer

    def token(self, scope: str, *, partners: Sequence[str] | None = None) -> str:
        """A token of the local issuer, good for half a day."""
        return mint(
            self.issuer,
            scope=scope,
            now=time.time(),
            partners=partners,
            lifetime=TOKEN_SECONDS,
            iss=os.environ.get("JWT_ISSUER") or "partnerize",
            aud=os.environ.get("JWT_AUDIENCE") or "adbid",
        )


def add_port(parser: argparse.ArgumentParser) -> None:
    """The argument `--port`, by default `PORT` or 8000."""
    default = os.environ.get("PORT") or str(DEFAULT_PORT)
    parser.add_argument("--port", type=_port, default=default, help="on 127.0.0.1 (PORT; default 8000)")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is no port: 0 (a free one) to 65535")
    return port


@contextmanager
def running(
    folder: Path, port: int, *, schedules: bool = False, pages: Mapping[str, Answer] | None = None
) -> Iterator[Stack]:
    """Every part started, the database migrated, the API served from another thread.

    With `schedules`, functions are also called as often as the template says. `pages` are served beside the
    API, and may grow meanwhile. `DATABASE_URL` and `REDIS_URL` name real servers to use instead of the
    embedded ones. Raises what CANNOT_START says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        announce = stack.enter_context(occupied(folder))
        stop_leftover(folder)
        issuer = LocalIssuer.open(folder)
        documents = {"/.well-known/jwks.json": issuer.jwks()}
        gateway = Gateway(documents=documents, pages=pages, concurrency=THREADS)
        stack.callback(gateway.close)
        server = stack.enter_context(LocalServer(gateway, port))
        where = {
            "DATABASE_URL": os.environ.get("DATABASE_URL") or sqlite_url(folder),
            "MODELS_DIR": str(Path(os.environ.get("MODELS_DIR") or folder / "models").resolve()),
            "REDIS_URL": os.environ.get("REDIS_URL") or stack.enter_context(redis_server(folder)),
        }
        settings = {
            "DATABASE_POOL_SIZE": os.environ.get("DATABASE_POOL_SIZE") or "16",
            "JWKS_URL": os.environ.get("JWKS_URL") or f"{server.url}/.well-known/jwks.json",
        }
        stack.enter_context(environment(where | settings | quiet()))
        stack.callback(gateway.close)  # before the connections of its functions
        for kind in (DatabaseSettings, CacheSettings):  # so that what is wrong shows now
            read_settings(kind, os.environ)
        migrations.upgrade(wiring.database())
        gateway.load()
        scheduler = Scheduler(read_schedules(load_template(TEMPLATE)) if schedules else ())
        stack.callback(scheduler.close)
        scheduler.load()
        url = stack.enter_context(server.running())
        stack.enter_context(scheduler.running())
        announce(url, where)
        yield Stack(url, issuer)


def quiet() -> dict[str, str]:
    """Settings that leave the terminal to what the user should see."""
    level = os.environ.get("LOG_LEVEL") or "WARNING"
    return {"POWERTOOLS_METRICS_DISABLED": "true", "POWERTOOLS_LOG_LEVEL": level}


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """The variables the functions read, for the length of a `with` block."""
    before = {name: os.environ.get(name) for name in values}
    wiring.close()
    os.environ.update(values)
    try:
        yield
    finally:
        wiring.close()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `run`."""
    add_port(parser)
    parser.add_argument("--no-demo", action="store_true", help="start empty: don't load the demo month")


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C, SIGTERM, or the end of its terminal."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the last one: its terminal was closed
        signal.signal(number, lambda *_: stop.set())
    started = time.monotonic()
    try:
        with (
            dashboard.building() as building,
            running(home(), arguments.port, schedules=True, pages=building.pages) as stack,
        ):
            if not arguments.no_demo:
                with Client(stack.url, stack.token("admin")) as client:
                    demo.load_once(client, home(), stop)
                wiring.traffic().forget()  # the monitor has counted a month that was not there yet
                if not stop.is_set():
                    learning.first_time(stop)
            if not stop.is_set():
                told = building.is_over()
                print(_welcome(stack, _dashboard(stack, building), time.monotonic() - started), flush=True)
                goes_on = live.market(stack.url, stack.token("admin"), home())
                with nullcontext() if arguments.no_demo else goes_on:
                    while not stop.wait(POLL_SECONDS):
                        if building.is_over() and not told:
                            told = True
                            print(f"\n  {_dashboard(stack, building)}", flush=True)
    except CANNOT_START as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        hint = f"port {arguments.port} is in use; PORT=8001 make run takes another one" if taken else error
        print(f"cannot start: {hint}", file=sys.stderr)
        return 1
    except ApiError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _welcome(stack: Stack, about_the_dashboard: str, seconds: float) -> str:
    token = stack.token("partner brand", partners=["*"])
    has_demo = (
        Client(stack.url, stack.token("admin")).call("GET", f"/api/brands/{demo.BRANDS[0].id}").is_success
    )
    lines = [
        "",
        f"AdBid Optimizer is up after {seconds:.1f} s.",
        f"  {about_the_dashboard}",
        f"  API and documentation   {stack.url}/docs",
        "  stop                    Ctrl-C",
        "  a token of your own     make token SCOPE=partner PARTNERS='*'",
    ]
    if has_demo:
        lines += [
            "",
            "A bundle of three bids to score; paste it into another terminal:",
            "",
            _curl(stack.url, token),
        ]
    return "\n".join(lines)


def _dashboard(stack: Stack, building: Building) -> str:
    if not building.is_over():
        words = "is being built; its address follows"
    elif building.trouble:
        words = building.trouble
    else:
        words = f"{stack.url}/#token={stack.token('admin')}"
    return f"dashboard               {words}"


def _curl(url: str, token: str) -> str:
    return (
        f"curl -s {url}/api/score \\\n"
        f"  -H 'authorization: Bearer {token}' \\\n"
        "  -H 'content-type: application/json' \\\n"
        f"  -d '{demo.example_request()}'"
    )
