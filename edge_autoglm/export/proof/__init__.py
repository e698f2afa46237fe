"""Proof that an exported engine still behaves like the original: measured, recorded, and refused beyond a budget."""
