"""What is let into a prompt, and what is let out as an answer: pure functions over texts."""
