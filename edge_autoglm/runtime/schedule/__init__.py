"""Which request runs when."""
