"""Tokens of the local issuer, and the command that prints one."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

import jwt

from local.home import home
from local.keys import FILES, LocalIssuer

DEFAULT_HOURS = 12.0


def mint(
    issuer: LocalIssuer,
    *,
    scope: str,
    now: float,
    brands: Sequence[str] | None = None,
    partners: Sequence[str] | None = None,
    lifetime: float = DEFAULT_HOURS * 3600,
    subject: str = "local",
    algorithm: str = "RS256",
    iss: str = "partnerize",
    aud: str = "adbid",
) -> str:
    """A token for `scope` (space-separated), valid from `now` (epoch seconds) for `lifetime` seconds.

    `["*"]` is all tenants; None leaves a claim out.
    """
    key = issuer.key(algorithm)
    claims: dict[str, object] = {
        "iss": iss,
        "aud": aud,
        "sub": subject,
        "scope": scope,
        "iat": int(now),
        "nbf": int(now),
        "exp": int(now + lifetime),
    }
    if brands is not None:
        claims["brand_ids"] = list(brands)
    if partners is not None:
        claims["partner_ids"] = list(partners)
    return jwt.encode(claims, key.private_key, algorithm=algorithm, headers={"kid": key.kid})


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `token`.

    What is left out comes from the environment, where `*` and spaces survive make and the shell.
    """
    environment = os.environ
    parser.add_argument(
        "--scope",
        default=environment.get("SCOPE") or "admin",
        help="brand, partner, admin or several of them, separated by spaces (SCOPE; default admin)",
    )
    parser.add_argument(
        "--brands",
        default=environment.get("BRANDS") or None,
        help="brand ids, comma-separated, or * (BRANDS; default * when the scope includes brand)",
    )
    parser.add_argument(
        "--partners",
        default=environment.get("PARTNERS") or None,
        help="partner ids, comma-separated, or * (PARTNERS; default * when the scope includes partner)",
    )
    parser.add_argument("--hours", type=_hours, default=DEFAULT_HOURS, help="lifetime (default 12)")
    parser.add_argument("--subject", default="local", help="whom it names as the caller (default local)")
    parser.add_argument("--algorithm", choices=sorted(FILES), default="RS256", help="default RS256")


def run(arguments: argparse.Namespace) -> int:
    """Print the token alone."""
    scopes = arguments.scope.replace(",", " ").split()
    token = mint(
        LocalIssuer.open(home()),
        scope=" ".join(scopes),
        now=time.time(),
        brands=_tenants(arguments.brands, everything="brand" in scopes),
        partners=_tenants(arguments.partners, everything="partner" in scopes),
        lifetime=arguments.hours * 3600,
        subject=arguments.subject,
        algorithm=arguments.algorithm,
        iss=os.environ.get("JWT_ISSUER") or "partnerize",
        aud=os.environ.get("JWT_AUDIENCE") or "adbid",
    )
    sys.stdout.write(token + "\n")
    return 0


def _tenants(given: str | None, *, everything: bool) -> list[str] | None:
    if given is None:
        return ["*"] if everything else None
    return [item.strip() for item in given.split(",") if item.strip()]


def _hours(text: str) -> float:
    hours = float(text)
    if not abs(hours) <= 24 * 366:
        raise argparse.ArgumentTypeError("at most a year")
    return hours
