"""The use cases: each takes what a function parsed, and composes the rules with the data they need."""
