"""The ONNX Runtime graph: builder, decoder, precisions."""
