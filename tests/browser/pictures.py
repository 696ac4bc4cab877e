"""`python -m tests.browser.pictures` takes the README's pictures of the dashboard anew, of the demo."""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from local import demo
from tests.browser.chromium import chromium
from tests.browser.driver import player
from tests.support.runs import run

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
COLOURS = 256
"""The views look the same with so few, and take a third of the space."""

PATIENCE = 600.0
WANTED = {"limited_by_roas", "limited_by_budget", "on_target"}
"""Statuses that the demo's stories bring up within some minutes of its start."""


def main() -> int:
    """Starts the product with the demo month, waits for its stories, and looks at every view."""
    with tempfile.TemporaryDirectory() as home, chromium() as browser, run(Path(home)) as product:
        end = time.monotonic() + PATIENCE
        while "/#token=" not in product.output and time.monotonic() < end:
            time.sleep(1)
        url, token = product.wait_for(r"dashboard +(http://\S+/#token=\S+)\s").split("/#token=")
        wait_for_the_stories(url, token, end)
        given = {"url": url, "token": token, "brand": demo.HELD_BACK.id, "pictures": str(FOLDER)}
        with player(browser) as one:
            one.play("page.looksRight", given, {})
    for file in sorted(FOLDER.glob("*.png")):
        picture = Image.open(file).convert("RGB")
        few = picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(file, optimize=True)
        print(f"{file.stat().st_size / 1024:6.0f} KB  {file.name}")
    return 0


def wait_for_the_stories(url: str, token: str, end: float) -> None:
    """Until the portfolio shows WANTED, or the clock `end`."""
    headers = {"authorization": f"Bearer {token}"}
    seen: set[Any] = set()
    while time.monotonic() < end and not seen >= WANTED:
        time.sleep(5)
        answer = httpx.get(f"{url}/api/portfolio", headers=headers, timeout=30, trust_env=False)
        seen = {item["status"] for item in answer.raise_for_status().json()["items"]}
        print("waiting:", ", ".join(sorted(seen)), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
