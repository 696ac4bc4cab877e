"""What the tests stand on: private servers, fresh databases, and the rule against silent skips."""
