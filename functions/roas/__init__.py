"""GET /api/roas and /api/metrics/vpi: what bids are expected to return, and what they did."""
