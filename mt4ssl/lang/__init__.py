"""Units and tokens, lexicon and n-gram language models."""
