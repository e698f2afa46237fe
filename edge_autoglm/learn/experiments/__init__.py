"""Experiments (A/B): who gets which variant, and what can be said of the outcome at any time; one idea a file."""
