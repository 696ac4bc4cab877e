"""GET /docs and /openapi.json: one document for all functions, and a page that shows it.

The document is written when the product is built (`python -m local.openapi`); the page loads nothing from
anywhere else, and runs no script but its own.
"""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response

_HERE = Path(__file__).parent

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def openapi() -> Response:
    """The OpenAPI document of all functions."""
    return Response(_document(), media_type="application/json")


@router.get("/docs")
async def docs() -> Response:
    """The page that shows the document."""
    page, policy = _page()
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Response(page, headers=headers, media_type="text/html")


@cache
def _document() -> bytes:
    return (_HERE / "openapi.json").read_bytes()


@cache
def _page() -> tuple[str, str]:
    """The page, and the policy that lets run only what is written in it."""
    page = (_HERE / "docs.html").read_text("utf-8")
    policy = (
        f"default-src 'none'; script-src {_hash(page, 'script')}; style-src {_hash(page, 'style')}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _hash(page: str, tag: str) -> str:
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks]
    return " ".join([f"'sha256-{digest}'" for digest in digests])
