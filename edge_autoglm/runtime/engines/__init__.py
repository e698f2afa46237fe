"""Implementations of the engine protocol."""
