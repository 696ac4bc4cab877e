"""Which route of an HTTP API a request takes: the most specific path that has its method."""

from __future__ import annotations

import re
from collections.abc import Iterable

from local.template import Route

_VARIABLE = re.compile(r"\{([^{}+]+)(\+?)\}")


class Router:
    """Matches as API Gateway does: fixed segments before `{name}`, `{name}` before `{name+}`.

    Of the same path, its own method comes before ANY; without either, less specific paths have their turn.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        ordered = sorted(routes, key=_specificity)
        self._fixed = {(route.method, route.path): route for route in ordered if "{" not in route.path}
        self._patterns = [(_pattern(route.path), route) for route in ordered if "{" in route.path]

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and its path parameters for a decoded path; None when there is none."""
        route = self._fixed.get((method, path)) or self._fixed.get(("ANY", path))
        if route is not None:
            return route, {}
        for pattern, route in self._patterns:
            if route.method in (method, "ANY") and (found := pattern.fullmatch(path)) is not None:
                names = [name for name, _ in _VARIABLE.findall(route.path)]
                return route, dict(zip(names, found.groups(), strict=True))
        return None


def _specificity(route: Route) -> tuple[list[int], bool]:
    kinds = [2 if "+}" in segment else 1 if "{" in segment else 0 for segment in route.path.split("/")]
    return kinds, route.method == "ANY"


def _pattern(path: str) -> re.Pattern[str]:
    parts, end = [], 0
    for variable in _VARIABLE.finditer(path):
        parts += [re.escape(path[end : variable.start()]), "(.+)" if variable[2] else "([^/]+)"]
        end = variable.end()
    return re.compile("".join(parts) + re.escape(path[end:]), re.DOTALL)
