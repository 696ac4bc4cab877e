"""GET /api/me, /api/audit and /api/models, and going back to a version, as API Gateway calls them."""

import json
from pathlib import Path
from typing import Any

import pytest

from adbid import wiring
from functions.admin.app import handler
from tests.support.candidates import candidate
from tests.support.world import FAR_FUTURE, NOW, World, http_event, world

__all__ = ["world"]

STRATEGY = {"id": "st-1", "name": "spring", "vpi_multiplier": "1.2"}


def call(method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
    answer = handler(http_event(method, path, body, **options), None)
    return answer["statusCode"], json.loads(answer["body"] or "null")


@pytest.fixture
def versions(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two models, published one after the other."""
    monkeypatch.setenv("MODELS_DIR", str(tmp_path))
    wiring.model_publisher.cache_clear()
    made = []
    for name in ("first", "second"):
        one = candidate(name)
        wiring.model_publisher().publish(one, expected=wiring.redis_client().get("model"))
        made.append(one.pointer.version)
    return made


def test_me_says_what_the_token_may_do() -> None:
    claims = {"sub": "ops", "scope": "partner brand", "brand_ids": ["b 2", "b1"], "partner_ids": ["*"]}
    assert call("GET", "/api/me", claims=claims) == (
        200,
        {
            "subject": "ops",
            "scopes": ["brand", "partner"],
            "brand_ids": ["b 2", "b1"],
            "partner_ids": ["*"],
            "expires_at": "2100-01-01T00:00:00+00:00",
        },
    )
    assert FAR_FUTURE == 4_102_444_800


def test_me_needs_a_scope() -> None:
    assert call("GET", "/api/me", claims={"scope": "something"})[0] == 403


def test_every_change_is_listed_the_newest_first(world: World) -> None:
    call("POST", "/api/strategies", STRATEGY)
    call("PUT", "/api/strategies/st-1", {**STRATEGY, "name": "summer"}, headers={"if-match": '"1"'})
    call("DELETE", "/api/strategies/st-1")
    status, page = call("GET", "/api/audit", query="kind=strategy&object_id=st-1&limit=2")
    assert status == 200
    assert [entry["action"] for entry in page["items"]] == ["delete", "replace"]
    changed = page["items"][1]
    assert (changed["old_value"]["name"], changed["new_value"]["name"]) == ("spring", "summer")
    assert changed["actor"] == "tester"
    assert changed["occurred_at"] == NOW.isoformat()
    _, rest = call("GET", "/api/audit", query=f"kind=strategy&limit=2&cursor={page['next_cursor']}")
    assert [entry["action"] for entry in rest["items"]] == ["create"]
    assert rest["next_cursor"] is None
    assert call("GET", "/api/audit", query="kind=brand") == (200, {"items": [], "next_cursor": None})


@pytest.mark.parametrize("path", ["/api/audit", "/api/models"])
def test_only_admins_look_on(world: World, path: str) -> None:
    for scope in ("brand", "partner", "metrics"):
        assert call("GET", path, claims={"scope": scope, "brand_ids": ["*"]})[0] == 403


@pytest.mark.parametrize("query", ["cursor=x", "limit=0", "limit=201", "kinds=brand"])
@pytest.mark.parametrize("path", ["/api/audit", "/api/models"])
def test_a_wrong_query_names_its_field(world: World, path: str, query: str) -> None:
    status, problem = call("GET", path, query=query)
    assert status == 422
    assert problem["errors"][0]["property"] == query.partition("=")[0]


def test_versions_are_listed_and_one_can_go_back(versions: list[str]) -> None:
    _, page = call("GET", "/api/models")
    assert {one["version"]: (one["status"], one["current"]) for one in page["items"]} == {
        versions[0]: ("retired", False),
        versions[1]: ("published", True),
    }
    status, one = call("POST", f"/api/models/{versions[0]}/rollback")
    assert (status, one["version"], one["status"], one["current"]) == (200, versions[0], "published", True)
    _, log = call("GET", "/api/audit", query="kind=model")
    assert [(entry["action"], entry["object_id"], entry["actor"]) for entry in log["items"]] == [
        ("rollback", versions[0], "tester")
    ]
    assert log["items"][0]["old_value"] == {"version": versions[1]}
    _, page = call("GET", "/api/models", query="limit=1")
    assert len(page["items"]) == 1
    _, rest = call("GET", "/api/models", query=f"limit=1&cursor={page['next_cursor']}")
    assert len(rest["items"]) == 1
    assert rest["next_cursor"] is None


def test_nobody_goes_back_to_what_is_not_there(versions: list[str]) -> None:
    assert call("POST", "/api/models/nothing/rollback")[0] == 404
    assert call("POST", f"/api/models/{versions[0]}/rollback", claims={"scope": "brand"})[0] == 403
