"""CTC log-probs to hypotheses: greedy, and k2 graphs and lattices (runs on torch 1.13 too)."""
