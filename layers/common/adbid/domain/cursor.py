"""Where the next page of a list starts, as callers carry it: opaque, and of one kind of list only."""

import base64
import binascii

from adbid.domain.errors import Invalid


def cursor_after(kind: str, last: str) -> str:
    """The cursor of the page that comes after the item `last` of a list of this kind."""
    return base64.urlsafe_b64encode(f"{kind}\n{last}".encode()).decode().rstrip("=")


def read_cursor(kind: str, cursor: str | None) -> str:
    """The item a page starts after, "" at the beginning. Raises Invalid for a cursor of another list."""
    if cursor is None:
        return ""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        name, after = text.split("\n")
    except (ValueError, binascii.Error):
        name, after = "", ""
    if name != kind or not after:
        raise Invalid("invalid_cursor", "this is no cursor of a list of this kind", property="cursor")
    return after
