"""Architectures without a family file of ours: exported by ``optimum-onnx``, then rewritten for our engines."""
