"""/api/strategies, /api/brands, /api/partners, /api/slots, /api/priors: what people set. And /docs."""
