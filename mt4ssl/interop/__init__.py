"""Foreign formats alone: fairseq, transformers, ONNX."""
