"""`python -m local retrain`: one night of learning now, by the function that the schedule calls."""

import argparse

from adbid.domain.errors import AdBidError
from local.attach import attached
from local.home import home
from local.learning import in_words, retrain


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `retrain`."""
    parser.add_argument(
        "--until",
        metavar="TIME",
        help="learn from the month before this time, RFC 3339 with an offset (default: now)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Learn, and publish what is no worse; 0 when a new version serves."""
    with attached(home()):
        try:
            result = retrain(until=arguments.until)
        except AdBidError as error:
            print(f"nothing has changed: {error}")
            return 1
    print(in_words(result))
    return 0 if result["status"] == "published" else 1
