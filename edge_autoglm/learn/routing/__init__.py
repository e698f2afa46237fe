"""From what a user says to the task that is meant: a small classifier that learns as it goes."""
