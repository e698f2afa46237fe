"""Generations, and going from one to the next while requests are being answered."""
