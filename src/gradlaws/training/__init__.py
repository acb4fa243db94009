"""Laws in real training runs: what they should do, what they did, and why not."""
