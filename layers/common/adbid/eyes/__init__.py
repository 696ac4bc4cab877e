"""What the system tells about itself: logs, metrics and traces. docs/observability.md lists all of it."""
