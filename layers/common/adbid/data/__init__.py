"""All input and output: tables, repositories, cache and counters."""
