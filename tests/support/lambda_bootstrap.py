"""What Lambda's own bootstrap does: `lambda_bootstrap.py SPEC`, the first code of an environment.

SPEC is a JSON file: `environment` becomes the whole environment, `path` goes before the standard library and
`runtime` behind it, as /var/task, /opt/python and the runtime's own packages do; then the real client starts.
Run it with -I -S: no site-packages of any interpreter, and nothing that the shell has set.
"""

import json
import os
import runpy
import sys
import time
from pathlib import Path


def main(spec: str) -> None:
    """Note when and as which process it starts, and never return."""
    about = json.loads(Path(spec).read_text())
    if os.environ.get("ADBID_STARTED") != spec:  # the loader reads LD_LIBRARY_PATH when a process starts
        Path(spec).with_suffix(".started").write_text(json.dumps([os.getpid(), time.monotonic()]))
        runtime_api = {"AWS_LAMBDA_RUNTIME_API": os.environ.get("AWS_LAMBDA_RUNTIME_API", "")}
        environment = {**runtime_api, **about["environment"], "ADBID_STARTED": spec}
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-B", __file__, spec], environment)
    del os.environ["ADBID_STARTED"]
    os.chdir(about["path"][0])
    sys.path[:] = [*about["path"], *sys.path, about["runtime"]]
    sys.argv = ["bootstrap", about["handler"]]
    runpy.run_module("awslambdaric", run_name="__main__")


main(sys.argv[1])
