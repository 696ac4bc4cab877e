"""POST /api/score: the hot path."""
