"""HTTP plumbing that every function shares: FastAPI under Mangum, problem+json, claims."""
