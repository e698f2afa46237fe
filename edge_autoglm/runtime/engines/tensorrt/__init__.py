"""What runs a TensorRT plan of the standard graph, behind `edge_autoglm.runtime.engines.standard.backend.Backend`."""
