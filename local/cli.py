"""The commands of the local run. Each is a module with `configure(parser)` and `run(arguments)`."""

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "run": ("local.stack", "start everything on this machine and serve it until Ctrl-C"),
    "token": ("local.tokens", "print a token of the local issuer"),
    "load": ("local.load", "load the advertiser's log through the API of a running stack"),
    "retrain": ("local.retrain", "learn from the last month, and publish what is no worse"),
    "rollback": ("local.rollback", "serve a model version again that served before"),
    "rebuild": ("local.rebuild", "make anew what Redis holds, from the database and the stored models"),
    "ledger": ("local.ledger", "check that every brand's money adds up, in Redis and in the database"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit status. Only that command's module is imported."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((argument for argument in given if not argument.startswith("-")), None)
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        if name == chosen:
            implementation = importlib.import_module(module)
            implementation.configure(command)
    parsed = parser.parse_args(given)
    try:
        return int(implementation.run(parsed))
    except KeyboardInterrupt:
        return 130
