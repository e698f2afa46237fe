"""What a policy would have earned on the requests of the log, with bounds that hold however often one looks."""
