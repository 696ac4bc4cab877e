"""A client of the product's own API, as an integrator would write it: tokens, retries, batches."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

BATCH = 1000
ATTEMPTS = 8


class ApiError(RuntimeError):
    """The API refused a request. The message is its problem document."""


def is_local(url: str) -> bool:
    """Whether `url` is on this machine, where a proxy from the environment must not stand in between."""
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


class Client:
    """Calls the API at `url` with one token; retries what a dependency's absence or throttling refused.

    Its connection lasts for the length of a `with` block.
    """

    def __init__(self, url: str, token: str) -> None:
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=not is_local(url))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request, repeated after 429 and 503 as `Retry-After` says; all of them are safe to repeat."""
        for attempt in range(ATTEMPTS):
            response = self._http.request(method, path, json=body, headers=headers)
            if response.status_code not in (429, 503) or attempt == ATTEMPTS - 1:
                break
            time.sleep(float(response.headers.get("retry-after", 1)))
        return response

    def ensure(self, kind: str, item: Mapping[str, Any]) -> None:
        """Creates an object of `kind` ("brands", …) unless its id exists. Raises ApiError."""
        if self.call("GET", f"/api/{kind}/{quote(item['id'], safe='')}").is_success:
            return
        response = self.call("POST", f"/api/{kind}", dict(item))
        if not response.is_success:
            raise ApiError(response.text)

    def report(self, events: Iterable[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        """Sends events in batches; yields each batch's results. Raises ApiError when one is refused."""
        batch: list[Mapping[str, Any]] = []
        for event in events:
            batch.append(event)
            if len(batch) == BATCH:
                yield self._send(batch)
                batch = []
        if batch:
            yield self._send(batch)

    def _send(self, events: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        response = self.call("POST", "/api/performance", {"events": events})
        if not response.is_success:
            raise ApiError(response.text)
        results: list[dict[str, Any]] = response.json()["results"]
        return results
