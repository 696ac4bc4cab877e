"""`python -m local rebuild`: what Redis holds for scoring, anew from the database and the stored models."""

import argparse

from redis.exceptions import RedisError
from tqdm import tqdm

from adbid import wiring
from adbid.data import rebuild
from adbid.domain.errors import AdBidError
from local.attach import attached
from local.home import home


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rebuild`: there are none."""


def run(_: argparse.Namespace) -> int:
    """Rebuild; 0 when the sums and the model's pointer are in place."""
    with attached(home()):
        try:
            with tqdm(desc="rebuild", unit=" rows", mininterval=0.5) as bar:
                rebuild.rebuild(wiring.database(), wiring.counters(), wiring.now(), progress=bar.update)
            wiring.traffic().forget()  # the monitor counts it anew
            version = wiring.model_publisher().restore()
        except (AdBidError, RedisError) as error:
            print(f"not rebuilt: {error}")
            return 1
    print(f"the sums are rebuilt; model {version or 'packaged-1'} serves")
    return 0
