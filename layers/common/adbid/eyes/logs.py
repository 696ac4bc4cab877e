"""The log: JSON lines on standard output, through AWS Lambda Powertools.

Everything under `adbid` logs to it, by `logging.getLogger(__name__)` too. Each line has the service and,
within a call, the request's id, and the trace's while it is traced. Nothing logged carries a token, a secret
or personal data.
"""

import logging
import os
from contextvars import ContextVar

from aws_lambda_powertools import Logger

# Named like the package, so that the loggers of its modules, which are children of it, write here as well.
logger = Logger(service="adbid", utc=True)

about: ContextVar[dict[str, str]] = ContextVar("about")
"""What each line says of the call that it was written in."""


class _Call(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.service = os.environ.get("POWERTOOLS_SERVICE_NAME", "adbid")
        record.__dict__.update(about.get({}))
        return True


logger.logger_handler.addFilter(_Call())
