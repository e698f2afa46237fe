"""What is wrong with task files, what could be better, and what their variants cost. Runs no model."""
