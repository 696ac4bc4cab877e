"""The local issuer: its keys are private and made once, and `token` prints a token alone."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from functions.authorizer.jwks import parse_key_set
from local.cli import main
from local.keys import LocalIssuer

ROOT = Path(__file__).resolve().parents[2]


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `token` with arguments and variables; what it printed, which is one line."""
    monkeypatch.setenv("ADBID_HOME", str(tmp_path))
    for name in ("SCOPE", "BRANDS", "PARTNERS", "JWT_ISSUER", "JWT_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, **variables: str) -> str:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            assert main(["token", *arguments]) == 0
        output = capsys.readouterr()
        assert output.err == ""
        assert output.out.count("\n") == 1
        return output.out.strip()

    return run


class TestKeys:
    def test_stay_the_same(self, tmp_path: Path) -> None:
        assert LocalIssuer.open(tmp_path).jwks() == LocalIssuer.open(tmp_path).jwks()

    def test_are_for_their_owner_alone(self, tmp_path: Path) -> None:
        LocalIssuer.open(tmp_path / "new" / "home")
        folder = tmp_path / "new" / "home" / "keys"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
            "rs256.pem": 0o600,
            "es256.pem": 0o600,
        }
        assert [path.name for path in folder.parent.iterdir()] == ["keys"]

    def test_only_public_halves_are_published(self, tmp_path: Path) -> None:
        issuer = LocalIssuer.open(tmp_path)
        members = {key["alg"]: key.keys() for key in json.loads(issuer.jwks())["keys"]}
        assert members == {
            "RS256": {"kty", "n", "e", "kid", "use", "alg"},
            "ES256": {"kty", "crv", "x", "y", "kid", "use", "alg"},
        }
        assert parse_key_set(issuer.jwks()).keys() == {(issuer.key(a).kid, a) for a in ("RS256", "ES256")}

    def test_processes_that_race_agree(self, tmp_path: Path) -> None:
        program = (
            "import sys, pathlib, time; from local.keys import LocalIssuer;"
            "time.sleep(max(0, float(sys.argv[2]) - time.time()));"
            "print(LocalIssuer.open(pathlib.Path(sys.argv[1])).jwks().decode())"
        )
        start = str(time.time() + 1)
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", program, str(tmp_path), start],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        seen = {racer.communicate(timeout=60)[0] for racer in racers}
        assert seen == {LocalIssuer.open(tmp_path).jwks().decode() + "\n"}
        assert [path.name for path in tmp_path.iterdir()] == ["keys"]

    def test_a_key_of_the_wrong_kind_is_refused(self, tmp_path: Path) -> None:
        LocalIssuer.open(tmp_path)
        keys = tmp_path / "keys"
        (keys / "rs256.pem").write_bytes((keys / "es256.pem").read_bytes())
        with pytest.raises(ValueError, match="not a key for RS256"):
            LocalIssuer.open(tmp_path)


class TestToken:
    def test_defaults_to_an_admins_for_half_a_day(self, printed: Any) -> None:
        claims = claims_of(printed())
        assert claims.keys() == {"iss", "aud", "sub", "scope", "iat", "nbf", "exp"}
        assert (claims["iss"], claims["aud"], claims["scope"]) == ("partnerize", "adbid", "admin")
        assert claims["exp"] - claims["iat"] == 12 * 3600
        assert abs(claims["iat"] - time.time()) < 60

    @pytest.mark.parametrize(
        ("variables", "tenants"),
        [
            ({"SCOPE": "partner"}, {"partner_ids": ["*"]}),
            ({"SCOPE": "brand"}, {"brand_ids": ["*"]}),
            ({"SCOPE": "brand partner", "PARTNERS": "p1"}, {"brand_ids": ["*"], "partner_ids": ["p1"]}),
            ({"SCOPE": "partner", "PARTNERS": "*", "BRANDS": ""}, {"partner_ids": ["*"]}),
            ({"SCOPE": "partner", "PARTNERS": "p1, camp 1,#N/A,"}, {"partner_ids": ["p1", "camp 1", "#N/A"]}),
            ({"SCOPE": "admin", "BRANDS": "b1"}, {"brand_ids": ["b1"]}),
        ],
    )
    def test_reads_the_environment(
        self, printed: Any, variables: dict[str, str], tenants: dict[str, list[str]]
    ) -> None:
        claims = claims_of(printed(**variables))
        assert claims["scope"] == variables["SCOPE"]
        assert {name: claims[name] for name in ("brand_ids", "partner_ids") if name in claims} == tenants

    def test_arguments_come_first(self, printed: Any) -> None:
        options = ["--scope", "brand", "--brands", "b9", "--hours", "1", "--subject", "me"]
        token = printed(*options, "--algorithm", "ES256", SCOPE="admin", BRANDS="b1")
        claims = claims_of(token)
        assert (claims["scope"], claims["brand_ids"], claims["sub"]) == ("brand", ["b9"], "me")
        assert claims["exp"] - claims["iat"] == 3600
        assert jwt.get_unverified_header(token)["alg"] == "ES256"

    def test_names_the_configured_issuer(self, printed: Any) -> None:
        claims = claims_of(printed(JWT_ISSUER="test", JWT_AUDIENCE="elsewhere"))
        assert (claims["iss"], claims["aud"]) == ("test", "elsewhere")

    @pytest.mark.parametrize(
        "arguments", [["--hours", "soon"], ["--hours", "1e9"], ["--algorithm", "none"], ["x"]]
    )
    def test_refuses_nonsense(
        self, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["token", *arguments])
        assert caught.value.code == 2
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize("arguments", [[], ["nope"]])
def test_an_unknown_command_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m local" in capsys.readouterr().err
