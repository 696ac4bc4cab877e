"""Measurements on real data, through the product's own code. Not shipped, not imported by the product."""
