"""The retrain function called on a laptop, with its progress shown."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from adbid import wiring
from adbid.domain.errors import AdBidError
from adbid.ml.model import PACKAGED

LONGEST = 900.0
"""Seconds; what a Lambda may take."""


def first_time(stop: threading.Event) -> None:
    """Learns from what is there, if nothing was ever published: for the first `make run`."""
    serving, degraded = wiring.model_loader().serving()
    if serving is not PACKAGED or degraded:
        return
    try:
        print(in_words(retrain(stop=stop)))
    except AdBidError as error:
        print(f"no model was learned: {error}")


def retrain(*, until: str | None = None, stop: threading.Event | None = None) -> Mapping[str, Any]:
    """What the function answers; a bar shows how far it is. Raises AdBidError."""
    from functions.retrain.app import handler  # with LightGBM, which no other command needs
    from functions.retrain.night import STAGES

    with tqdm(total=len(STAGES), desc="retrain", unit=" stages", bar_format=_BAR, leave=False) as bar:

        def progress(stage: str, detail: str) -> None:
            bar.update(STAGES.index(stage) - bar.n)
            bar.set_postfix_str(f"{stage} {detail}".strip())

        event = {"action": "retrain", **({"until": until} if until else {})}
        return handler(event, _Context(stop or threading.Event()), progress)


_BAR = "{desc} |{bar:20}| {n_fmt}/{total_fmt} {elapsed} {postfix}"


@dataclass(frozen=True)
class _Context:
    """Lambda's, as far as the function asks: there is no time left once `stop` is set."""

    stop: threading.Event
    end: float = field(default_factory=lambda: time.monotonic() + LONGEST)

    def get_remaining_time_in_millis(self) -> int:
        return 0 if self.stop.is_set() else max(0, int((self.end - time.monotonic()) * 1000))


def in_words(result: Mapping[str, Any]) -> str:
    """What became of a retrain."""
    if result["status"] == "skipped":
        return "another retrain is running: skipped"
    if result["status"] == "refused":
        return f"no new model ({result['reason']}): {result['detail']}"
    validation = result["metrics"]["validation"]
    skills = ", ".join(
        f"{target} {skill['d2']:.3f} (before: {_before(validation, target)})"
        for target, skill in validation["skill"].items()
        if skill["d2"] is not None
    )
    return f"model {result['version']} serves. Explained of later days (D2): {skills}"


def _before(validation: Mapping[str, Any], target: str) -> str:
    skill = validation["champion_skill"].get(target) or {}
    return "-" if skill.get("d2") is None else f"{skill['d2']:.3f}"
