"""What the template schedules is called on time in the local run, as a Lambda function would be."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local import stack
from local.schedule import Scheduler
from local.template import load_template, read_schedules
from tests.support.product import ROOT

HANDLERS = """
import threading, time

calls = []

def note(event, context):
    remaining = context.get_remaining_time_in_millis()
    calls.append((context.function_name, event, remaining, threading.get_ident()))
    event["seen"] = True

def watch(event, context):
    note(event, context)
    return {"watched": 1}

def broken(event, context):
    note(event, context)
    raise ValueError("a broken watch")

def hung(event, context):
    note(event, context)
    time.sleep(3)

def stored(event, context):
    from adbid import wiring
    with wiring.database().read() as connection:
        found = connection.exec_driver_sql("SELECT COUNT(*) FROM brand_strategy").scalar()
    calls.append((context.function_name, found, 0, 0))
"""

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Watch:
    Type: AWS::Serverless::Function
    Properties:
      Handler: scheduled_handlers.watch
      Timeout: 9
      Events:
        Often:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 minute), Input: '{"action": "watch"}'}
        Rarely:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1000 minutes)}
        Nightly:
          Type: ScheduleV2
          Properties: {ScheduleExpression: "cron(0 2 * * ? *)", Input: '{"n": 1}'}
        Daily:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 day)}
        Off:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 minute), State: DISABLED}
"""
RATE = 0.05  # seconds that a minute has here

Calls = list[tuple[str, Any, int, int]]


@pytest.fixture
def template(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "scheduled_handlers.py").write_text(HANDLERS)
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    sys.path.insert(0, str(tmp_path))
    try:
        yield tmp_path / "template.yaml"
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("scheduled_handlers", None)


def change(template: Path, *changes: tuple[str, str]) -> Path:
    text = template.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    template.write_text(text)
    return template


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def calls() -> Calls:
    made: Calls = sys.modules["scheduled_handlers"].calls
    return made


def loaded(template: Path) -> Scheduler:
    scheduler = Scheduler(read_schedules(load_template(template)), minute=RATE)
    scheduler.load()
    return scheduler


def test_a_function_is_called_at_once_and_at_its_rate_and_no_more_at_the_end(template: Path) -> None:
    scheduler = loaded(template)
    started = time.monotonic()
    with scheduler.running():
        until(lambda: len(calls()) == 6)
        assert time.monotonic() - started >= 4 * RATE
    scheduler.close()
    made = list(calls())
    assert "scheduler" not in [thread.name for thread in threading.enumerate()]
    # One by the minute, each time with an event of its own, and once the one of every thousand minutes.
    assert [event for _, event, _, _ in made].count({"seen": True}) == 1
    assert [event for _, event, _, _ in made].count({"action": "watch", "seen": True}) == len(made) - 1
    for name, _, remaining, thread in made:
        assert name == "Watch"
        assert 8_000 < remaining <= 9_000
        assert thread != threading.get_ident()
    time.sleep(3 * RATE)
    assert calls() == made


@pytest.mark.parametrize(
    ("handler", "timeout", "said"), [("broken", "9", "a broken watch"), ("hung", "0.1", "took over 0.1 s")]
)
def test_a_call_that_fails_is_said_and_made_again(
    template: Path, caplog: pytest.LogCaptureFixture, handler: str, timeout: str, said: str
) -> None:
    change(template, ("scheduled_handlers.watch", f"scheduled_handlers.{handler}"), ("9", timeout))
    scheduler = loaded(template)
    with caplog.at_level(logging.ERROR), scheduler.running():
        until(lambda: len(calls()) == 4)
    scheduler.close()
    assert "Watch: Often failed" in caplog.text
    assert said in caplog.text


def test_a_call_that_has_begun_may_end(template: Path) -> None:
    change(template.with_name("scheduled_handlers.py"), ("sleep(3)", "sleep(0.3)\n    event['ended'] = True"))
    scheduler = loaded(change(template, ("scheduled_handlers.watch", "scheduled_handlers.hung")))
    with scheduler.running():
        until(lambda: len(calls()) == 2)
    scheduler.close()
    assert [event.get("ended") for _, event, _, _ in calls()] == [True, True]


def test_nothing_to_call_is_no_thread(template: Path) -> None:
    change(template, ("ScheduleV2", "Schedule"))
    with loaded(template).running():
        assert "scheduler" not in [thread.name for thread in threading.enumerate()]


def test_the_local_run_calls_what_is_scheduled_with_the_settings_of_the_functions(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(template, ("scheduled_handlers.watch", "scheduled_handlers.stored"))
    monkeypatch.setattr(stack, "TEMPLATE", template)
    with stack.running(tmp_path / "home", 0, schedules=True):
        until(lambda: len(calls()) == 2)
        assert all(name == "Watch" and number > 0 for name, number, _, _ in calls())


def test_the_products_own_schedules_can_be_read() -> None:
    for schedule in read_schedules(load_template(ROOT / "template.yaml")):
        assert schedule.minutes >= 1
        assert (ROOT / (schedule.function.handler.rpartition(".")[0].replace(".", "/") + ".py")).is_file()
