"""The public runtime, which puts the layers together."""
