"""Many architectures and flows at once: a grid, a journal of finished rows, a table."""
