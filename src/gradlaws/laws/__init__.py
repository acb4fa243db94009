"""What is conserved."""
