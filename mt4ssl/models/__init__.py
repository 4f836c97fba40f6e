"""Networks and their weights: front-ends, Transformer encoder, masking, MT4SSL model and CTC model."""
