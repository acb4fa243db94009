"""The groups behind the laws, and what they are good for."""
