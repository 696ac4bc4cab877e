"""The Lambda functions. Each parses, makes one call into the engine and maps the answer."""
