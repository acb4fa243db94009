"""The groups behind the laws: which transformations of the parameters change nothing, and what to do with them."""
