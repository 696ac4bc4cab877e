"""AdBid Optimizer: the shared layer. Start at `engine.scoring` to follow a bid."""
