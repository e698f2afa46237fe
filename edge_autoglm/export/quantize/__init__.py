"""Weight quantisation: what a matrix becomes, and how the rounding is chosen."""
