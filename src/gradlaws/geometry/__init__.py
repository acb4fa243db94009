"""The geometry of training: where it can go, in how many directions, its flows integrated, its linear part solved."""
