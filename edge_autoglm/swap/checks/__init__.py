"""What a candidate is checked for before it answers a request; one check a file."""
