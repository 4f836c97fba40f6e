"""Where training targets come from: K-means labels (offline) and an EMA teacher (online)."""
