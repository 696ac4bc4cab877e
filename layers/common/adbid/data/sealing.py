"""Days added up, when they are over: `performance_day` (`adbid.data.sealed_days`) made and mended.

Nothing is missed or counted twice: every batch holds the row `counted` of `performance_seal` shared until it
commits, and who begins to seal a day changes that row first. So a batch has either committed before, and is
in what `performance` adds up to then, or it adds to the day itself. Sealing adds what is missing between the
two, as one statement's snapshot shows it, brand by brand. It may stop anywhere and go on later. Whoever adds
such a difference holds the row `sealed`: two at once would add the same.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Insert,
    Integer,
    Select,
    Update,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects import mysql, sqlite

from adbid.data.database import Database
from adbid.data.sealed_days import COUNTED, KEY, NUMBERS, SEALED, midnight, until_day
from adbid.data.tables import (
    ALL,
    DECAYED,
    brand,
    partner,
    performance,
    performance_day,
    performance_rollup,
    performance_seal,
)
from adbid.data.types import Real
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES

OVER = timedelta(days=1)
"""A day is sealed so long after its end, when most of it has been reported: what comes later costs more."""

_DAY = timedelta(days=1)
_DAY_SECONDS = 86_400.0
_ROUNDING = 1e-9  # of what a decayed sum is made of; far more than adding doubles in another order changes
_IDS = ("slot_id", "brand_id", "partner_id")

_ROW = performance_day.c
_SEAL = performance_seal.c


def seal(database: Database, now: datetime, deadline: float) -> int:
    """Seals the days that are over, the oldest first, until `deadline` (of `time.monotonic()`); how many."""
    sealed = 0
    while time.monotonic() < deadline:
        day = database.transaction(lambda connection: _begin(connection, now))
        if day is None or not _fill(database, day, deadline):
            break
        sealed += 1
    return sealed


def _sealer(connection: Connection) -> tuple[date | None, str] | None:
    """How far it is sealed, and the brands of the day after; nobody else adds differences until the
    transaction ends. None in tables that no migration has filled."""
    query = select(_SEAL.until_day, _SEAL.finished).where(_SEAL.name == SEALED).with_for_update()
    row = connection.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])


def _begin(connection: Connection, now: datetime) -> date | None:
    """The day to be sealed next, counted from now on; None when there is none yet."""
    state = _sealer(connection)
    if state is None:  # the next call finds them
        rows = [{"name": name, "finished": ""} for name in (COUNTED, SEALED)]
        connection.execute(performance_seal.insert(), rows)
        return None
    day = state[0]
    # Held before the oldest is looked for: no batch may bring an older one now without adding it itself.
    counted = until_day(connection, COUNTED, change=day is None)
    if counted is not None and counted != day:
        return counted - _DAY
    if day is None:
        first: datetime | None = connection.scalar(select(func.min(performance.c.bucket_start)))
        day = None if first is None else first.date()
    if day is None or midnight(day) + _DAY + OVER > now:
        return None
    connection.execute(_change(COUNTED, until_day=day + _DAY))
    return day


def _fill(database: Database, day: date, deadline: float) -> bool:
    """Whether this has sealed the day. A brand a transaction: none is long, and none is done twice."""
    with database.read() as connection:
        finished = connection.scalar(select(_SEAL.finished).where(_SEAL.name == SEALED))
        brands = list(connection.scalars(select(brand.c.id).where(brand.c.id > finished)))
        row = performance_rollup.c
        of_brands = (row.slot_id == ALL, row.brand_id.in_(brands), row.partner_id == ALL)
        then = (row.bucket_start >= midnight(day), row.bucket_start < midnight(day + _DAY))
        brands = sorted(set(connection.scalars(select(row.brand_id).where(*of_brands, *then).distinct())))

    def add_brand(connection: Connection, brand_id: str, **change: object) -> bool:
        state = _sealer(connection)
        if state is None or state[0] == day + _DAY or until_day(connection, COUNTED) != day + _DAY:
            return False  # somebody else has done it meanwhile
        _mend(connection, brand_id, day, day + _DAY)
        connection.execute(_change(SEALED, **change))
        return True

    for brand_id in brands:
        if time.monotonic() > deadline:
            return False
        work = partial(add_brand, brand_id=brand_id, finished=brand_id)
        if not database.transaction(work):
            return False
    return database.transaction(partial(add_brand, brand_id=ALL, until_day=day + _DAY, finished=""))


def _change(name: str, **values: object) -> Update:
    return performance_seal.update().where(_SEAL.name == name).values(**values)


def repair(connection: Connection, since: datetime, until: datetime) -> int:
    """Make the counted days of [since, until) what `performance` and its rollup add up to, in transactions
    of its own; how many rows were wrong."""
    with connection.begin():
        counted = until_day(connection, COUNTED)
        first = connection.scalar(select(func.min(performance.c.bucket_start)))
        oldest = connection.scalar(select(func.min(_ROW.day)))
        brands = [*connection.scalars(select(brand.c.id).order_by(brand.c.id)), ALL]
    if counted is None:
        return 0
    days = [one for one in (oldest, None if first is None else first.date()) if one is not None]
    wrong = 0
    day = max(min(days, default=counted), since.date())
    counted = min(counted, until.date())
    while day < counted:
        for brand_id in brands:
            with connection.begin():
                _sealer(connection)
                wrong += _mend(connection, brand_id, day, min(day + 7 * _DAY, counted), count=True)
        day += 7 * _DAY
    return wrong


def _mend(connection: Connection, brand_id: str, first: date, end: date, *, count: bool = False) -> int:
    """Adds what is missing of one brand's days [first, end) (`ALL`: of those over all brands); how many rows
    were wrong, if they are to be counted."""
    values: dict[str, Any] = {"for_brand": brand_id, "first_day": first, "end_day": end}
    values |= {"since": midnight(first), "until": midnight(end)}
    if brand_id == ALL:
        values["partners"] = [ALL, *connection.scalars(select(partner.c.id).order_by(partner.c.id))]
    wrong = 0
    for number, add in _statements(connection.dialect.name, brand_id == ALL):
        found = connection.scalar(number, values) if count else 1
        if found:
            connection.execute(add, values)
            wrong += found
    return wrong


@cache
def _statements(dialect: str, everything: bool) -> list[tuple[Select[Any], Insert]]:
    """What counts, and what adds, the differences of the rows over all brands or of a brand's: first of its
    contexts, then of what those add up to. Long statements, made once."""
    columns, found = (*KEY, *NUMBERS), []
    for difference in _differences(dialect, everything):
        if dialect == "sqlite":
            plain = sqlite.insert(performance_day).from_select(columns, difference)
            more = {name: _ROW[name] + plain.excluded[name] for name in NUMBERS}
            add: Insert = plain.on_conflict_do_update(index_elements=KEY, set_=more)
        else:
            into = mysql.insert(performance_day).from_select(columns, difference)
            add = into.on_duplicate_key_update({name: _ROW[name] + into.inserted[name] for name in NUMBERS})
        found.append((select(func.count()).select_from(difference.subquery()), add))
    return found


def _differences(dialect: str, everything: bool) -> Iterator[Select[Any]]:
    brand_id = bindparam("for_brand", type_=_ROW.brand_id.type)
    first, end = (bindparam(name, type_=_ROW.day.type) for name in ("first_day", "end_day"))
    within = (_ROW.brand_id == brand_id, _ROW.day >= first, _ROW.day < end)
    if everything:
        row = performance_rollup.c
        # Every partner by name: else each of their quarter hours since ever would be read for those of a day.
        partners = row.partner_id.in_(bindparam("partners", expanding=True))
        of_all = (row.slot_id == ALL, row.brand_id == brand_id, partners)
        happened = _by_day(dialect, row, row.currency, ()).where(*of_all)
        yield _difference(happened, *within, _ROW.by_context == 0)
        return
    row = performance.c
    query = _by_day(dialect, row, brand.c.currency, CONTEXT_DIMENSIONS)
    happened = query.join_from(performance, brand, brand.c.id == row.brand_id).where(row.brand_id == brand_id)
    yield _difference(happened, *within, _ROW.by_context == 1)
    contexts = (*within, _ROW.by_context == 1)
    levels = (("slot_id", "brand_id", "partner_id"), ("brand_id", "partner_id"), ("brand_id",))
    above = [_sums(0, _ROW, kept, _ROW.day, _ROW.currency, ()).where(*contexts) for kept in levels]
    yield _difference(union_all(*above), *within, _ROW.by_context == 0)


def _difference(happened: Select[Any] | CompoundSelect[Any], *stored: ColumnElement[bool]) -> Select[Any]:
    """What `happened` has more than the `stored` rows (negative: less), where it differs."""
    known = select(*(_ROW[name] for name in KEY), *((-_ROW[name]).label(name) for name in NUMBERS))
    ours = happened.subquery()
    both = union_all(select(ours), known.where(*stored)).subquery().c
    wrong = [func.sum(both[name]) != 0 for name in MEASURES]
    for name in DECAYED:
        number = type_coerce(both[name], Real)
        wrong.append(func.abs(func.sum(number)) > _ROUNDING * func.sum(func.abs(number)))
    keys = [both[name] for name in KEY]
    query = select(*keys, *(func.sum(both[name]) for name in NUMBERS))
    return query.group_by(*keys).having(or_(*wrong))


def _by_day(dialect: str, row: Any, currency: Any, context: Sequence[str]) -> Select[Any]:
    """`row`'s quarter hours of [since, until) added up by day, ids and the `context`."""
    bucket = row.bucket_start
    if dialect == "sqlite":
        seconds = cast(func.strftime("%s", bucket), Integer) % _DAY_SECONDS
    else:
        seconds = func.to_seconds(bucket) % _DAY_SECONDS
    weights_ = [func.pow(2.0, seconds / (_DAY_SECONDS * days), type_=Real) for days in HALF_LIVES_DAYS]
    decayed = [type_coerce(row[name], Real) * weight for weight in weights_ for name in MEASURES]
    day = func.date(bucket, type_=_ROW.day.type)
    query = _sums(int(bool(context)), row, _IDS, day, currency, context, decayed)
    since, until = (bindparam(name, type_=bucket.type) for name in ("since", "until"))
    return query.where(bucket >= since, bucket < until)


def _sums(
    by_context: int,
    row: Any,
    ids: Sequence[str],
    day: Any,
    currency: Any,
    context: Sequence[str],
    decayed: Sequence[Any] = (),
) -> Select[Any]:
    """`row`'s sums as rows of `performance_day`, of the `ids` and the `context` named."""
    numbers = (*(row[name] for name in MEASURES), *(decayed or (row[name] for name in DECAYED)))
    kept = (*ids, *context)
    return select(
        literal(by_context).label("by_context"),
        *((row[name] if name in kept else literal(ALL)).label(name) for name in (*_IDS, *CONTEXT_DIMENSIONS)),
        day.label("day"),
        currency.label("currency"),
        *(func.sum(number).label(name) for name, number in zip(NUMBERS, numbers, strict=True)),
    ).group_by(*(row[name] for name in kept), day, currency)
