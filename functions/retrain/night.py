"""One night: read, learn, compare, learn from all of it, rehearse, publish. Follow `Night.retrain`.

Every way out but the last leaves what serves as it is, and says why.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, Protocol

import numpy as np

from adbid.data import catalog, model_versions
from adbid.data.database import Database
from adbid.data.model_versions import VersionRow
from adbid.data.models import ModelCache
from adbid.domain.decay import MEASURES
from adbid.domain.errors import AdBidError, Conflict
from adbid.engine.models import BadModel, ModelLoader, read_model
from adbid.engine.publishing import Candidate, Publisher
from adbid.engine.scoring import ScoringEngine
from adbid.ml.features import SCHEMA_HASH
from adbid.ml.model import Model
from functions.retrain import champion, dry_run, training_data
from functions.retrain.samples import History
from functions.retrain.training_data import TrainingData, day_number

MINIMUM_DAYS = 7
MINIMUM_ROWS = 500
"""With fewer days, or rows of a cell and hour, that showed anything nothing is learned."""

LATER_DAYS = (timedelta(days=1), timedelta(days=7))
"""Least and most that models are compared on: what came after the serving model's training, as far as it
goes."""
FIRST_LATER_DAYS = timedelta(days=3)
"""The same, while the packaged default serves."""

REMEMBERED = timedelta(days=7)
"""A serving model's own skill at publication counts for so long: a market that changed for good is taken as
it is in the end."""

READING, FINISHING = 20.0, 20.0
"""Seconds that must be left for each."""
_SECONDS_PER_ROW = 1e-4

STAGES = (
    "read",
    "learn from earlier days",
    "compare on later days",
    "learn from all days",
    "rehearse",
    "publish",
)
Progress = Callable[[str, str], None]
"""Hears which of `STAGES` begins, or what there is to say of it."""


class Refused(Exception):
    """Nothing is published. `reason` is one of a few codes, `str()` says it in words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Train(Protocol):
    """Learns a model: the artefact's bytes, whose metadata holds `about`."""

    def __call__(self, history: History, about: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]: ...


@dataclass(frozen=True)
class Deadline:
    """How many seconds are left."""

    remaining: Callable[[], float]

    def require(self, seconds: float, what: str) -> None:
        """Raises Refused when there is less time than that."""
        left = self.remaining()
        if left < seconds:
            raise Refused("timeout", f"{left:.0f} s are left, and it takes some {seconds:.0f} s to {what}")


@dataclass(frozen=True)
class Published:
    """What serves from now on, and how it was judged."""

    version: str
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Night:
    """What a retrain works with."""

    database: Database
    cache: ModelCache
    loader: ModelLoader
    publisher: Publisher
    engine: ScoringEngine
    train: Train
    deadline: Deadline
    progress: Progress

    def retrain(self, now: datetime, until: datetime) -> Published:
        """Learns from the month before `until` and publishes. Raises Refused; Unavailable, RedisError."""
        pointer = self.cache.pointer()
        serving, _ = self.loader.current(pointer)
        row = self._row(serving)
        data = self._read(until)
        split = _split(data, row)
        metrics = self._judge(data, split, serving, row, now)
        self.progress(STAGES[3], f"{len(data.history.log):,} rows")
        candidate = self._learn(data.history, data, data.until, now, metrics)
        self.progress(STAGES[4], "")
        self._rehearse(candidate, data, serving, now)
        self.deadline.require(FINISHING / 2, "publish")
        self.progress(STAGES[5], candidate.pointer.version)
        try:
            self.publisher.publish(candidate, expected=pointer)
        except Conflict as error:
            raise Refused(error.code, error.message) from error
        return Published(candidate.pointer.version, candidate.metrics)

    def _judge(
        self, data: TrainingData, split: "_Split", serving: Model, row: VersionRow | None, now: datetime
    ) -> dict[str, Any]:
        """How a challenger does that learned from earlier days alone. Raises Refused where it is worse."""
        started = time.monotonic()
        earlier = data.history.between(-np.inf, day_number(split.learned_to))
        self.progress(STAGES[1], f"{len(earlier.log):,} rows")
        trial = self._learn(earlier, data, split.learned_to, now, {})
        self.progress(STAGES[2], f"{split.judged_from:%Y-%m-%d %H:%M} to {data.until:%Y-%m-%d %H:%M}")
        ours, theirs = self._compare(data, split, trial, serving)
        validation = {
            "from": split.judged_from.isoformat(),
            "to": data.until.isoformat(),
            "skill": {name: skill.to_json() for name, skill in ours.items()},
            "champion": serving.version,
            "champion_skill": {name: skill.to_json() for name, skill in theirs.items()},
        }
        verdict = champion.verdict(theirs, ours, _remembered(row, now))
        if verdict is not None:
            self._reject(trial, *verdict, {"validation": validation})
        took = time.monotonic() - started
        self.deadline.require(1.3 * took + FINISHING, "learn from all days and publish")
        return {"validation": validation}

    def _row(self, serving: Model) -> VersionRow | None:
        with self.database.read() as connection:
            return model_versions.find(connection, serving.version)

    def _read(self, until: datetime) -> TrainingData:
        self.progress(STAGES[0], "")

        def each_day(rows: int) -> None:
            self.deadline.require(READING, "read and learn")

        with self.database.read() as connection:
            data = training_data.read(connection, until, each_day=each_day)
        log = data.history.log
        shown = log.measures[:, MEASURES.index("impressions")] > 0
        days, rows = len(np.unique(np.floor(log.days[shown]))), int(shown.sum())
        if days < MINIMUM_DAYS or rows < MINIMUM_ROWS:
            raise Refused(
                "too_little_data",
                f"{rows} rows with impressions on {days} days before {until:%Y-%m-%d %H:%M}; "
                f"it takes {MINIMUM_ROWS} on {MINIMUM_DAYS}",
            )
        self.deadline.require(FINISHING + 2.0 * _SECONDS_PER_ROW * len(log), f"learn from {len(log)} rows")
        return data

    def _learn(
        self, history: History, data: TrainingData, end: datetime, now: datetime, metrics: Mapping[str, Any]
    ) -> Candidate:
        window = {"training_from": data.since.isoformat(), "training_to": end.isoformat()}
        blob, learned = self.train(history, window)
        return Candidate.of(
            blob,
            now,
            training_from=data.since,
            training_to=end,
            parameters=learned["parameters"],
            metrics={**metrics, "rows": len(history.log), "fit": learned["report"]},
            schema=SCHEMA_HASH,
        )

    def _compare(
        self, data: TrainingData, split: "_Split", trial: Candidate, serving: Model
    ) -> tuple[champion.Skills, champion.Skills]:
        """The skills of the challenger and of the serving model."""
        try:
            challenger = read_model(trial.pointer, trial.blob)
            ours, theirs = champion.compare(
                data.history, day_number(split.judged_from), [challenger, serving]
            )
        except BadModel as error:
            self._reject(trial, "not_servable", f"{error} ({error.code})", {})
        except Exception as error:  # whatever it is, it would hit traffic
            self._reject(trial, "raised", repr(error), {})
        if not ours:
            raise Refused("too_little_data", "nothing happened on the later days to judge models by")
        return ours, theirs

    def _rehearse(self, candidate: Candidate, data: TrainingData, serving: Model, now: datetime) -> None:
        with self.database.read() as connection:
            brands = catalog.load_brands(connection, data.history.columns["brand"].values)
        bids = dry_run.canned_bids(data.history, {name: brand.currency for name, brand in brands.items()})
        if not bids:
            raise Refused("nothing_to_rehearse", "none of the brands that were shown exists any more")
        try:
            dry_run.rehearse(self.engine, bids, read_model(candidate.pointer, candidate.blob), serving, now)
        except dry_run.NotSane as error:
            self._reject(candidate, "not_sane", str(error), {})
        except BadModel as error:
            self._reject(candidate, "not_servable", f"{error} ({error.code})", {})
        except AdBidError:
            raise  # a store is down: nothing is known of the model
        except Exception as error:  # whatever it is, it would hit traffic
            self._reject(candidate, "raised", repr(error), {})

    def _reject(self, candidate: Candidate, reason: str, detail: str, metrics: Mapping[str, Any]) -> NoReturn:
        self.publisher.reject(candidate, reason, detail, metrics)
        raise Refused(reason, detail)


@dataclass(frozen=True)
class _Split:
    """A challenger learns from what happened before `learned_to`; it is judged from `judged_from` on."""

    learned_to: datetime
    judged_from: datetime


def _split(data: TrainingData, row: VersionRow | None) -> _Split:
    """Judges both models on days that neither has learned from. Where the serving one has learned from the
    last day already (a second retrain on one day), the challenger has too: neither has an advantage."""
    if row is None or row.training_to is None:
        first = data.until - FIRST_LATER_DAYS
        return _Split(first, first)
    least, most = LATER_DAYS
    first = min(max(row.training_to, data.until - most), data.until - least)
    return _Split(max(first, min(row.training_to, data.until)), first)


def _remembered(row: VersionRow | None, now: datetime) -> Mapping[str, Any]:
    """The serving model's skill at publication, where it is not too long ago."""
    if row is None or now - row.created_at > REMEMBERED:
        return {}
    skill: Mapping[str, Any] = row.metrics.get("validation", {}).get("skill", {})
    return skill
