"""What stops a build."""


class BuildError(Exception):
    """The packages can't be made, or aren't fit for Lambda. The message says what to do."""


class Unreachable(BuildError):
    """Wheels can't be fetched right now: there is no way to where they come from."""
