"""The engine over the standard graph: steps of fixed shapes, on ONNX Runtime's CPU or CUDA provider or on TensorRT."""
