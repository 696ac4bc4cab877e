"""Small models, ready to be published."""

from datetime import timedelta

from adbid.domain.learned import DEFAULTS
from adbid.engine.publishing import Candidate
from adbid.ml.artefact import dump
from adbid.ml.features import EMPTY_VOCABULARY, SCHEMA_HASH
from tests.support.world import NOW


def candidate(name: str) -> Candidate:
    """A model without trees, told from others by its name."""
    about = {
        "schema": SCHEMA_HASH,
        "parameters": DEFAULTS.to_json(),
        "vocabulary": EMPTY_VOCABULARY.to_json(),
        "revenue": {"weight": 0.0, "bias": 0.0},
        "quality": None,
        "name": name,
    }
    return Candidate.of(
        dump(metadata=about, ensembles={}),
        NOW,
        training_from=NOW - timedelta(days=30),
        training_to=NOW,
        parameters=DEFAULTS.to_json(),
        metrics={"name": name},
        schema=SCHEMA_HASH,
    )
