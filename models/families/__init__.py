"""Known architectures, built as ONNX graphs from the tensors of a checkpoint."""
