"""Models in use: opened from their folders, features and log-probs of speech, export."""

from mt4ssl.inference.models import Encoder, Recogniser

__all__ = ["Encoder", "Recogniser"]
