"""How fast to forget and how much to trust what is known above: what `adbid.domain.learning` finds."""

from dataclasses import dataclass
from typing import Any

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS
from adbid.domain.drift import DriftParameters
from adbid.domain.response import TARGETS, ResponseParameters

BASE_HALF_LIFE = max(HALF_LIVES_DAYS)
"""Days: the tempo of the long-run chain; the recent one's is learned from the shorter ones."""


@dataclass(frozen=True)
class LearnedParameters:
    """The long-run chain's parameters and the recent chain's."""

    response: ResponseParameters
    drift: DriftParameters

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` reads back."""
        return {"response": self.response.to_json(), "drift": self.drift.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "LearnedParameters":
        """Raises ValueError or KeyError when `value` isn't what `to_json` writes."""
        return cls(ResponseParameters.from_json(value["response"]), DriftParameters.from_json(value["drift"]))


DEFAULT_PARAMETERS = ResponseParameters(
    half_lives=dict.fromkeys(TARGETS, BASE_HALF_LIFE),
    strengths={
        # vertical, brand, partner, slot, device_type, creative_type, campaign_id, country, os
        "ctr": (1000.0, 1000.0, 1000.0, 1000.0, 1000.0, 300.0, 1000.0, 1000.0, 1000.0),
        "cvr": (100.0, 100.0, 30.0, 30.0, 100.0, 100.0, 30.0, 300.0, 300.0),
        "revenue": (1000.0, 300.0, 100.0, 300.0, 1000.0, 100.0, 10.0, 3000.0, 1000.0),
        "cost": (1000.0, 300.0, 30.0, 30.0, 100.0, 30.0, 10.0, 300.0, 300.0),
    },
)
"""The long-run chain of a system that has learned nothing yet; in trials, by target."""

DEFAULT_DRIFT = DriftParameters(
    half_lives={target: min(HALF_LIVES_DAYS) for target in TARGETS},
    strengths={
        target: (trials,) * len(LEVELS)
        for target, trials in {"ctr": 3_000.0, "cvr": 300.0, "revenue": 10_000.0, "cost": 3_000.0}.items()
    },
)
"""The recent chain of a system that has learned nothing yet."""

DEFAULTS = LearnedParameters(DEFAULT_PARAMETERS, DEFAULT_DRIFT)
