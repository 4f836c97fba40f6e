"""CTC log-probs of the utterances of a set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm

from mt4ssl.data.ctc import CtcDataset
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.loading import load_steps
from mt4ssl.data.signals import WINDOW
from mt4ssl.errors import UserError
from mt4ssl.models.ctc import CtcModel
from mt4ssl.models.long_utterances import encode_in_windows
from mt4ssl.models.speech import ModelConfig

BATCH_SECONDS = WINDOW  # what is longer is a batch of its own, and goes in windows


def no_tokens(text: str, utterance: str) -> list[int]:
    """Return nothing: log-probs need no reference, and a test set may have characters that the model does not know."""
    return []


@torch.inference_mode()
def log_probs(
    model: CtcModel, architecture: ModelConfig, cuts: Cuts, workers: int, name: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the id and the log-probs (T, V) of each utterance, the shortest first; `name` is the set's.

    An utterance too short for a frame has none. Raises UserError naming an utterance for which the model gives NaN.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    frontend = architecture.frontend
    data = CtcDataset(cuts, frontend, no_tokens, BATCH_SECONDS, BATCH_SECONDS, seed=0).epoch()
    loader = load_steps(data, range(len(data)), workers)
    for batch in tqdm(loader, total=len(data), unit="batch", disable=None, desc=f"log-probs of {name}"):
        moved = batch.to(device)
        (rows,) = encode_in_windows(
            model, lambda model, *inputs: [model(*inputs)[0]], moved.inputs, moved.lengths, frontend
        )
        lengths = (frontend.frames(batch.lengths) * model.slots).clamp(min=0)
        for utterance, row, length in zip(batch.ids, rows.cpu().numpy(), lengths.tolist()):
            found = np.ascontiguousarray(row[:length])
            if np.isnan(found).any():
                raise UserError(f"the log-probs of {utterance} are NaN: the model has diverged, or the audio is broken")
            yield utterance, found
