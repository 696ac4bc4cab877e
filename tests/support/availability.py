"""No silent skip: what a machine can't offer is said aloud there, and is a failure in CI."""

import os
from typing import NoReturn

import pytest

NOT_RUN = "not run: "

notices: list[str] = []
"""What went otherwise than meant without stopping the tests, such as a server that another had to replace."""


class CannotBeHad(Exception):
    """A server isn't on this machine and couldn't be fetched either; the message says what was tried."""


def on_ci() -> bool:
    """True where the `CI` environment variable is set to anything but "", "0" or "false"."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def not_run(reason: str) -> NoReturn:
    """Skip the test with a line in the final summary; on CI fail it instead."""
    if on_ci():
        pytest.fail(f"{NOT_RUN}{reason} (in CI that is a failure)", pytrace=False)
    pytest.skip(f"{NOT_RUN}{reason}")
