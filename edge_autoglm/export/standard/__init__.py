"""The standard graph, for TensorRT: operators of plain ONNX, explicit types and quantisation, two lowerings."""
