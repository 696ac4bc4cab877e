"""`python -m local ledger check`: whether every brand's money adds up, in Redis and in the database."""

import argparse

from redis.exceptions import RedisError

from adbid import wiring
from adbid.data import ledger_checks, ledger_snapshots
from adbid.data.ledger import Difference
from adbid.domain.errors import AdBidError
from adbid.domain.money import format_money, from_micros
from local.attach import attached
from local.home import home


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `ledger`: what to do with it."""
    parser.add_argument("action", choices=["check"], help="compare every balance with its entries")


def run(_: argparse.Namespace) -> int:
    """Print every difference; 0 when there is none. A lost ledger is restored first, as a score would."""
    with attached(home()):
        database, ledger, now = wiring.database(), wiring.ledger(), wiring.now()
        try:
            restored = ledger_snapshots.restore(database, ledger, now)
            differences = ledger_checks.check(database, ledger, now)
            days = len(ledger.days())
        except (AdBidError, RedisError) as error:
            print(f"not checked: {error}")
            return 1
    for one in differences:
        print(told(one))
    print(f"{days} budget days in Redis, {len(differences) or 'no'} differences")
    if not restored:
        print("the ledger was lost, and cannot be restored now: only what is in the database was checked")
    return 1 if differences or not restored else 0


def told(one: Difference) -> str:
    """A line about it, money in the brand's currency."""
    is_money = not one.name.startswith("revision")
    here, there = [
        format_money(from_micros(number)) if is_money else str(number)
        for number in (one.micros, one.other_micros)
    ]
    return f"{one.brand_id} {one.day}: {one.name} {here}, {one.other} {there}"
