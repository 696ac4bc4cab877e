"""The product on a laptop: the same handlers behind an HTTP gateway made from template.yaml."""
