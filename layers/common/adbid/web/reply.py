"""What a caller is told, before API Gateway's form or FastAPI's is given to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"


@dataclass(frozen=True)
class Reply:
    """A status, a body of text and its media type. `headers`: others, their names in lower case."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def event(self) -> dict[str, Any]:
        """What a function returns to API Gateway (HTTP API, payload format 2.0)."""
        length = str(len(self.body))
        return {
            "statusCode": self.status,
            "headers": {**self.headers, "content-length": length, "content-type": self.media_type},
            "body": self.body.decode(),
            "isBase64Encoded": False,
        }
