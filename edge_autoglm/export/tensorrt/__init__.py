"""TensorRT plans: the standard graph, compiled for some GPUs."""
