"""What is learned and served: one version of everything that predictions depend on."""

from dataclasses import dataclass

from adbid.domain.learning import DEFAULT_PARAMETERS
from adbid.domain.response import ResponseParameters


@dataclass(frozen=True)
class Model:
    """One version. `parameters` steer the response chain."""

    version: str
    parameters: ResponseParameters


PACKAGED = Model("packaged-1", DEFAULT_PARAMETERS)
"""Serves until something was learned: round numbers that hold on more than one market."""
