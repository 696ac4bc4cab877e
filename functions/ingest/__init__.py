"""POST /api/performance: what happened."""
