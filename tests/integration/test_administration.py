"""What people set is changed safely: on real databases and a real Redis, with others at it as well."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from adbid.data.catalog import BRAND, PARTNER, PRIOR, SLOT, STRATEGY, Kind
from adbid.data.database import Database
from adbid.domain.errors import (
    AdBidError,
    Conflict,
    Invalid,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
)
from adbid.engine.administration import Actor, Administration
from tests.support.administration import (  # noqa: F401  # some are fixtures
    ALICE,
    START,
    audit,
    brand,
    happened,
    migrated_database,
    new,
    noted_moves,
    partner,
    prior,
    slot,
    strategy,
    ticking_clock,
    use_cases,
    version,
    vertical_prior,
)

MAKERS: list[tuple[Kind[Any], Callable[..., dict[str, Any]]]] = [
    (STRATEGY, strategy),
    (BRAND, brand),
    (PARTNER, partner),
    (SLOT, slot),
    (PRIOR, vertical_prior),
]
every_kind = pytest.mark.parametrize(
    ("kind", "make"), [pytest.param(kind, make, id=kind.name) for kind, make in MAKERS]
)


@every_kind
def test_an_object_is_made_read_replaced_and_removed(
    administration: Administration, database: Database, kind: Kind[Any], make: Any
) -> None:
    values = make()
    made = administration.create(kind, values, ALICE)
    assert made == kind.type(**values, version=1, created_at=START, updated_at=START)
    assert administration.read(kind, made.id) == made

    other = {**make(), "id": made.id}
    replaced = administration.replace(kind, made.id, {**other, "id": None}, version(1), ALICE)
    assert replaced == kind.type(**other, version=2, created_at=START, updated_at=replaced.updated_at)
    assert replaced.updated_at > START
    assert administration.read(kind, made.id) == replaced

    administration.delete(kind, made.id, None, ALICE)
    with pytest.raises(NotFound):
        administration.read(kind, made.id)
    entries = audit(database, made.id)
    assert [entry["action"] for entry in entries] == ["create", "replace", "delete"]
    assert {(e["kind"], e["actor"], e["request_id"]) for e in entries} == {(kind.name, "alice", "request-1")}
    assert [(e["old_value"] is None, e["new_value"] is None) for e in entries] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    assert entries[0]["new_value"] == entries[1]["old_value"]
    assert entries[1]["new_value"] == entries[2]["old_value"]


def test_the_audit_log_keeps_amounts_and_times_as_people_read_them(
    administration: Administration, database: Database
) -> None:
    made = administration.create(BRAND, brand(), Actor("b" * 300, "r" * 300))
    entry = audit(database, made.id)[0]
    assert entry["new_value"]["daily_budget"] == "250.50"
    assert entry["new_value"]["created_at"] == "2026-11-20T09:00:00+00:00"
    assert entry["actor"] == "b" * 255


def test_an_id_is_made_where_none_is_given(administration: Administration) -> None:
    made = [administration.create(PARTNER, partner(id=None, name=new("name")), ALICE) for _ in range(2)]
    assert made[0].id != made[1].id
    assert all(1 <= len(one.id) <= 64 for one in made)


@every_kind
def test_an_id_or_a_name_is_given_once(
    administration: Administration, database: Database, kind: Kind[Any], make: Any
) -> None:
    made, other = (administration.create(kind, make(), ALICE) for _ in range(2))
    same = {column: getattr(made, column) for column in kind.unique}
    with pytest.raises(Conflict) as raised:
        administration.create(kind, make(id=made.id), ALICE)
    assert raised.value.code == "id_exists"
    with pytest.raises(Conflict) as raised:
        administration.create(kind, {**make(), **same}, ALICE)
    assert raised.value.code == ("scope_exists" if kind is PRIOR else "name_exists")
    with pytest.raises(Conflict):
        administration.replace(kind, other.id, {**make(), **same}, version(1), ALICE)
    administration.replace(kind, made.id, {**make(), **same}, version(1), ALICE)  # its own name is no other's
    assert len(audit(database, other.id)) == 1  # what was refused left no trace


def test_names_differ_by_case(administration: Administration) -> None:
    name = new("Name")
    administration.create(PARTNER, partner(name=name), ALICE)
    administration.create(PARTNER, partner(name=name.upper()), ALICE)


def test_a_replacement_names_the_version_it_changes(administration: Administration) -> None:
    made = administration.create(PARTNER, partner(), ALICE)
    values = partner()
    with pytest.raises(PreconditionRequired):
        administration.replace(PARTNER, made.id, values, None, ALICE)
    with pytest.raises(PreconditionFailed):
        administration.replace(PARTNER, made.id, values, version(2), ALICE)
    with pytest.raises(PreconditionFailed):
        administration.delete(PARTNER, made.id, version(2), ALICE)
    administration.delete(PARTNER, made.id, version(1), ALICE)
    for act in (
        lambda: administration.replace(PARTNER, made.id, values, version(1), ALICE),
        lambda: administration.delete(PARTNER, made.id, None, ALICE),
    ):
        with pytest.raises(NotFound):
            act()


def test_of_replacements_at_the_same_time_one_gets_through(administration: Administration) -> None:
    made = administration.create(PARTNER, partner(), ALICE)

    def replace(name: str) -> str:
        try:
            return administration.replace(PARTNER, made.id, partner(name=name), version(1), ALICE).name
        except PreconditionFailed as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(replace, [new("name") for _ in range(4)]))
    assert answers.count("version_mismatch") == 3
    stored = administration.read(PARTNER, made.id)
    assert stored.version == 2
    assert stored.name in answers


def test_of_creations_at_the_same_time_one_gets_through(administration: Administration) -> None:
    same_name = new("name")
    ids = [new("partner") for _ in range(4)]

    def create(item_id: str) -> str:
        try:
            return administration.create(PARTNER, partner(id=item_id, name=same_name), ALICE).id
        except Conflict as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(create, ids))
    assert sorted(answer for answer in answers if answer not in ids) == ["name_exists"] * 3


def test_a_name_that_somebody_takes_meanwhile_is_named(
    administration: Administration, database: Database
) -> None:
    """Our check for the name passes, our insert waits for theirs, and then there is somebody of that name."""
    name = new("name")
    theirs = {**partner(name=name), "version": 1, "created_at": START, "updated_at": START}
    with ThreadPoolExecutor(1) as pool:

        def take_the_name(connection: Connection) -> Future[Any]:
            connection.execute(insert(PARTNER.table).values(theirs))
            ours = pool.submit(administration.create, PARTNER, partner(name=name), ALICE)
            wait([ours], timeout=0.3)
            assert not ours.done()
            return ours

        ours = database.transaction(take_the_name)
        with pytest.raises(Conflict) as raised:
            ours.result(timeout=10)
    assert raised.value.code == "name_exists"


@pytest.mark.parametrize(
    ("kind", "make", "column"),
    [
        (BRAND, brand, "strategy_id"),
        (SLOT, slot, "partner_id"),
        (PRIOR, prior, "brand_id"),
        (PRIOR, prior, "partner_id"),
        (PRIOR, prior, "slot_id"),
    ],
)
def test_what_is_referred_to_exists(
    administration: Administration, kind: Kind[Any], make: Any, column: str
) -> None:
    with pytest.raises(Invalid) as raised:
        administration.create(kind, make(**{column: "nobody"}), ALICE)
    what = column.removesuffix("_id")
    assert [(field.property, field.code) for field in raised.value.fields] == [(column, f"unknown_{what}")]


def test_what_is_in_use_stays(administration: Administration, database: Database) -> None:
    used = administration.create(STRATEGY, strategy(), ALICE)
    owner = administration.create(PARTNER, partner(), ALICE)
    its_brand = administration.create(BRAND, brand(strategy_id=used.id), ALICE)
    its_slot = administration.create(SLOT, slot(partner_id=owner.id), ALICE)
    its_prior = administration.create(PRIOR, prior(brand_id=its_brand.id), ALICE)

    def in_use(kind: Kind[Any], item_id: str) -> bool:
        with pytest.raises(PreconditionFailed):  # If-Match is looked at first
            administration.delete(kind, item_id, version(-1), ALICE)
        try:
            administration.delete(kind, item_id, version(1), ALICE)
        except Conflict as error:
            return error.code == "in_use"
        return False

    assert in_use(STRATEGY, used.id)
    assert in_use(PARTNER, owner.id)
    assert in_use(BRAND, its_brand.id)
    assert not in_use(PRIOR, its_prior.id)
    happened(database, slot_id=its_slot.id)
    assert in_use(SLOT, its_slot.id)
    happened(database, brand_id=its_brand.id)
    assert in_use(BRAND, its_brand.id)
    lonely = administration.create(PARTNER, partner(), ALICE)
    happened(database, partner_id=lonely.id)
    assert in_use(PARTNER, lonely.id)


def test_a_strategy_is_not_removed_under_a_brand_that_is_being_made(administration: Administration) -> None:
    """Whichever is first, the database never holds a brand without its strategy."""
    for _ in range(5):
        used = administration.create(STRATEGY, strategy(), ALICE)
        made = brand(strategy_id=used.id)

        def attempt(act: Callable[[], Any]) -> bool:
            try:
                act()
            except AdBidError:
                return False
            return True

        acts = [
            lambda used=used: administration.delete(STRATEGY, used.id, None, ALICE),
            lambda made=made: administration.create(BRAND, made, ALICE),
        ]
        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(attempt, acts)) == [False, True]


def test_a_currency_stays_once_there_are_amounts_in_it(
    administration: Administration, database: Database
) -> None:
    made = administration.create(BRAND, brand(), ALICE)
    in_dollars = {**brand(name=made.name), "currency": "USD"}
    changed = administration.replace(BRAND, made.id, in_dollars, version(1), ALICE)
    assert changed.currency == "USD"
    happened(database, brand_id=made.id)
    with pytest.raises(Conflict) as raised:
        administration.replace(BRAND, made.id, brand(currency="EUR"), version(2), ALICE)
    assert (raised.value.code, raised.value.fields[0].property) == ("currency_in_use", "currency")
    administration.replace(BRAND, made.id, {**in_dollars, "daily_budget": None}, version(2), ALICE)


def test_a_list_goes_through_every_object_once(administration: Administration) -> None:
    made = [administration.create(SLOT, slot(), ALICE).id for _ in range(7)]
    seen: list[str] = []
    cursor, pages = None, 0
    while True:
        page = administration.list(SLOT, cursor=cursor, limit=3)
        seen += [item.id for item in page.items]
        cursor, pages = page.next_cursor, pages + 1
        administration.create(
            SLOT, slot(id=f"!{new('before')}"), ALICE
        )  # what comes before the cursor doesn't matter
        if cursor is None:
            break
        assert len(page.items) == 3
    assert seen == sorted(set(seen))
    assert set(made) <= set(seen)
    assert pages >= 3
    everything = administration.list(SLOT, cursor=None, limit=200).items
    exactly = administration.list(SLOT, cursor=None, limit=len(everything))
    assert exactly.next_cursor is None  # a full last page has no next one


@pytest.mark.parametrize("cursor", ["", "*", "x", "ü", "AAAA", "cGFydG5lcgpw", "c2xvdAo"])
def test_a_cursor_of_nothing_or_of_another_list_is_invalid(
    administration: Administration, cursor: str
) -> None:
    with pytest.raises(Invalid) as raised:
        administration.list(SLOT, cursor=cursor, limit=3)  # "cGFy…" is a partner's, "c2xv…" has no id
    assert raised.value.fields[0].property == "cursor"
