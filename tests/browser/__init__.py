"""The dashboard in a real browser, against the product behind the local gateway."""
