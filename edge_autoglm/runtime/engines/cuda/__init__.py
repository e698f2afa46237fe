"""Memory, streams and graphs of an NVIDIA GPU, over the CUDA runtime library alone: no torch, no CuPy."""
