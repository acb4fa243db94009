"""The float64 engine: the user's own module, reverse mode on reverse mode, singular values. Nothing here is proved."""
