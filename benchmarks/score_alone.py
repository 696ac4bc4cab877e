"""Scores bundles of so many bids in a process that does nothing else, and prints its peak memory in MB.

    DATABASE_URL=… REDIS_URL=… python -m benchmarks.score_alone BIDS < EVENT

The market must be there already (`benchmarks.score_market`); nothing of it is imported here.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

CALLS = 50


def main(bids: int) -> None:
    from functions.score.app import handler

    event = json.loads(sys.stdin.read())
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        for number in range(CALLS):
            event["body"] = json.dumps({**json.loads(event["body"]), "id": f"alone-{bids}-{number}"})
            assert handler(event, None)["statusCode"] == 200
    heavy = [name for name in HEAVY if name in sys.modules]
    assert not heavy, f"a warm score has imported {heavy}"
    status = Path("/proc/self/status").read_text().splitlines()
    [peak] = [line.split()[1] for line in status if line.startswith("VmHWM")]
    print(int(peak) * 1024 / 1e6)


HEAVY = ("fastapi", "pydantic", "sqlalchemy", "boto3", "scipy", "pandas", "lightgbm")

if __name__ == "__main__":
    main(int(sys.argv[1]))
