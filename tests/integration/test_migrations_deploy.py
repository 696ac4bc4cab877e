"""The migration as a deploy calls it: CloudFormation's protocol over real HTTP.

What the revisions do on each kind of database is in test_migrations.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

import migrations
from adbid.data.database import Database
from migrations import app
from tests.support.servers import fresh_database


class Context:
    """As much of Lambda's context as the function looks at."""

    def __init__(self, seconds: float = 900) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


class CloudFormation:
    """The place answers are put to. `refuse`: how many tries it turns down first."""

    def __init__(self, url: str, answers: list[tuple[str | None, dict[str, Any]]]) -> None:
        self.url = url
        self.answers = answers
        self.refuse = 0

    def event(self, kind: str, **more: str) -> dict[str, Any]:
        return {
            "RequestType": kind,
            "ResponseURL": self.url,
            "StackId": "arn:aws:cloudformation:eu-west-1:1:stack/adbid/1",
            "RequestId": "r-1",
            "LogicalResourceId": "Migration",
            "ResourceProperties": {},
            **more,
        }

    def answer(self) -> dict[str, Any]:
        [(content_type, answer)] = self.answers
        assert not content_type  # the URL is signed for none
        return answer


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    with listening() as found:
        yield found


@contextmanager
def listening() -> Iterator[CloudFormation]:
    answers: list[tuple[str | None, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if found.refuse:
                found.refuse -= 1
                self.send_error(503)
                return
            answers.append((self.headers["Content-Type"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found = CloudFormation(f"http://127.0.0.1:{server.server_port}/answer", answers)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.delenv("DATABASE_SECRET_ID", raising=False)
    with fresh_database("sqlite://") as url, Database(url) as database:
        monkeypatch.setenv("DATABASE_URL", url)
        yield database


@pytest.fixture
def newest(database: Database) -> str:
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(migrations.configuration(database)).get_current_head()
    assert head is not None
    return head


def test_a_new_stack_gets_its_tables(cloudformation: CloudFormation, database: Database, newest: str) -> None:
    app.handler(cloudformation.event("Create"), Context())
    answer = cloudformation.answer()
    assert answer["Status"] == "SUCCESS"
    assert answer["Data"] == {"before": None, "after": newest}
    assert (answer["RequestId"], answer["LogicalResourceId"]) == ("r-1", "Migration")
    assert migrations.current(database) == newest


def test_an_update_keeps_the_resource(
    cloudformation: CloudFormation, database: Database, newest: str
) -> None:
    """Another physical id would be a replacement, and CloudFormation would delete the old one."""
    migrations.upgrade(database, "0001")
    app.handler(cloudformation.event("Update", PhysicalResourceId="schema"), Context())
    answer = cloudformation.answer()
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "schema")
    assert migrations.current(database) == newest


def test_deleting_the_stack_leaves_the_data(cloudformation: CloudFormation, database: Database) -> None:
    migrations.upgrade(database, "0001")
    app.handler(cloudformation.event("Delete", PhysicalResourceId="schema"), Context())
    assert cloudformation.answer()["Status"] == "SUCCESS"
    assert migrations.current(database) == "0001"


def test_code_that_goes_back_meets_a_newer_database(
    cloudformation: CloudFormation, database: Database, newest: str
) -> None:
    migrations.upgrade(database)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    app.handler(cloudformation.event("Update", PhysicalResourceId="schema"), Context())
    assert cloudformation.answer()["Status"] == "SUCCESS"
    assert migrations.current(database) == "9999"


def test_what_fails_stops_the_deploy(cloudformation: CloudFormation, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("CREATE TABLE brand (id INTEGER)"))  # in the way
    app.handler(cloudformation.event("Create"), Context())
    answer = cloudformation.answer()
    assert answer["Status"] == "FAILED"
    assert "brand" in answer["Reason"]
    assert len(json.dumps(answer)) < 4096  # CloudFormation takes no more


def test_a_database_that_never_comes_stops_the_deploy(
    cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "RETRY_SECONDS", 0.01)
    monkeypatch.setenv("DATABASE_URL", "mysql+pymysql://nobody@127.0.0.1:1/adbid")
    app.handler(cloudformation.event("Create"), Context(seconds=0.2))
    answer = cloudformation.answer()
    assert (answer["Status"], answer["Reason"].partition(":")[0]) == ("FAILED", "Unavailable")


def test_a_database_that_comes_late_is_waited_for(
    cloudformation: CloudFormation, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = database.engine.url.render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", "mysql+pymysql://nobody@127.0.0.1:1/adbid")
    original = Database.read
    tries = 0

    def read(self: Database) -> Any:
        nonlocal tries
        tries += 1
        if tries == 3:  # the proxy has found its database
            self.engine = Database(good, statement_timeout=None).engine
        return original(self)

    monkeypatch.setattr(app, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(Database, "read", read)
    app.handler(cloudformation.event("Create"), Context())
    assert cloudformation.answer()["Status"] == "SUCCESS"


def test_an_answer_that_does_not_arrive_is_sent_again(
    cloudformation: CloudFormation, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.time, "sleep", lambda _: None)
    cloudformation.refuse = 2
    app.handler(cloudformation.event("Create"), Context())
    assert cloudformation.answer()["Status"] == "SUCCESS"


def test_people_call_it_by_revision(database: Database) -> None:
    assert app.handler({"revision": "0001"}, None) == {"before": None, "after": "0001"}
    app.handler({}, None)
    assert app.handler({"action": "repair"}, None) == {"repaired": 0}
