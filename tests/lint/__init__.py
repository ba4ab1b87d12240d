"""Linters of our own, for what docs/style.md asks of prose and names."""
