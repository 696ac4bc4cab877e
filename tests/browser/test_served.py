"""Where the dashboard comes from: the local gateway, with Node and without."""

import json
import re
import signal
from pathlib import Path

import httpx
import pytest

from local import dashboard
from local.dashboard import Building, NoDashboard
from local.stack import running
from tests.browser.site import Site
from tests.support.runs import run

ADVICE = "install Node.js 20.19 or newer with npm, then start again"


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As if it had never been built; the folder is the only one programs are looked for in."""
    monkeypatch.setattr(dashboard, "DIST", tmp_path / "dist")
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


def test_the_page_comes_with_a_strict_policy(site: Site) -> None:
    page = httpx.get(site.url, trust_env=False)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "http" not in page.text.replace('http-equiv="', "")  # nothing from elsewhere


def test_its_files_may_be_kept_for_good(site: Site) -> None:
    page = httpx.get(site.url, trust_env=False).text
    files = re.findall(r'(?:src|href)="\./(assets/[^"]+)"', page)
    assert len(files) == 2
    for file in files:
        answer = httpx.get(f"{site.url}/{file}", trust_env=False)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        head = httpx.head(f"{site.url}/{file}", trust_env=False)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(answer.content))


def test_other_paths_are_still_the_apis(site: Site) -> None:
    missing = httpx.get(f"{site.url}/assets/none.js", trust_env=False)
    assert (missing.status_code, missing.json()) == (404, {"message": "Not Found"})
    posted = httpx.post(site.url, trust_env=False)
    assert (posted.status_code, posted.json()) == (404, {"message": "Not Found"})
    assert httpx.get(f"{site.url}/api/portfolio", trust_env=False).status_code == 401


def test_without_node_it_says_how_to_get_it_and_the_api_works(
    anew: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dashboard.building() as building:
        building.join(30)
    assert building.trouble == f"not here: Node.js isn't here: {ADVICE}"
    monkeypatch.undo()  # the database's own programs are needed again
    with running(tmp_path / "home", 0, pages=building.pages) as stack:
        page = httpx.get(stack.url, trust_env=False)
        assert page.status_code == 404
        assert ADVICE in page.text
        assert httpx.get(f"{stack.url}/healthz", trust_env=False).json()["status"] == "ok"


def test_an_old_node_is_refused(anew: Path) -> None:
    for name in ("node", "npm"):
        (anew / name).write_text("#!/bin/sh\necho v18.19.1\n")
        (anew / name).chmod(0o755)
    with pytest.raises(NoDashboard, match=f"Node.js v18.19.1 is too old: {ADVICE}"):
        dashboard.require_node()


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_what_make_runs_is_told_of_and_in_ci_a_failure_without_node(
    anew: Path, ci: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", ci)
    assert dashboard.main(["lint"]) == code
    assert capsys.readouterr().err == f"not run: lint of the dashboard: Node.js isn't here: {ADVICE}\n"


def test_a_build_can_be_stopped_on_its_way(anew: Path, tmp_path: Path) -> None:
    (anew / "node").write_text("#!/bin/sh\necho v22.1.0\n")
    (anew / "npm").write_text(f"#!/bin/sh\n: > {tmp_path}/began\nwhile :; do /bin/sleep 1; done\n")
    for program in anew.iterdir():
        program.chmod(0o755)
    building = Building()
    building.start()
    while not (tmp_path / "began").exists():
        assert not building.is_over(), building.trouble
    building.close()
    assert building.is_over()
    assert "was stopped" in building.trouble


def test_make_run_prints_the_address_with_a_token(site: Site, tmp_path: Path) -> None:
    """`site` has built it, so that only the address is left to wait for."""
    with run(tmp_path, "--port", "0", "--no-demo") as started:
        url, token = started.wait_for(r"dashboard +(http://\S+/#token=\S+)\s").split("/#token=")
        answer = httpx.get(f"{url}/api/me", headers={"authorization": f"Bearer {token}"}, trust_env=False)
        assert json.loads(answer.content)["scopes"] == ["admin"]
        assert '<div id="root">' in httpx.get(url, trust_env=False).text
        started.signal(signal.SIGINT)
        assert started.end() == 0
