"""Runs one server for exactly as long as the process that asked for it lives: `guard.py FOLDER COMMAND...`

Standard input is a pipe whose other end the asking process holds. The pipe closes when that process ends,
however it ends (an exception, Ctrl-C, SIGTERM, even SIGKILL); then the server is killed and FOLDER, its data,
deleted. Nothing in the data is meant to outlive a test run, so there is no clean shutdown to wait for.
"""

import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

POLL_SECONDS = 0.1


def main(folder: str, *command: str) -> int:
    """Return the server's exit code if it ends by itself (the folder stays, for its log), else 0."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))  # so that `finally` runs
    with Path(folder, "log").open("ab") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        while server.poll() is None:
            closed, _, _ = select.select([sys.stdin.fileno()], [], [], POLL_SECONDS)
            if closed:
                server.kill()
                server.wait()
                shutil.rmtree(folder, ignore_errors=True)
                return 0
        return server.returncode
    finally:
        server.kill()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
