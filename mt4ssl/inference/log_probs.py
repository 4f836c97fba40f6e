"""CTC log-probs of the utterances of a set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm

from mt4ssl.data.ctc import CtcDataset
from mt4ssl.data.cuts import Cuts
from mt4ssl.data.loading import load_steps
from mt4ssl.models.ctc import CtcModel
from mt4ssl.models.speech import ModelConfig

BATCH_SECONDS = 60.0


def no_tokens(text: str, utterance: str) -> list[int]:
    """Return nothing: log-probs need no reference, and a test set may have characters that the model does not know."""
    return []


@torch.inference_mode()
def log_probs(
    model: CtcModel, architecture: ModelConfig, cuts: Cuts, workers: int, name: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the id and the log-probs (T, V) of each utterance, the shortest first; `name` is the set's."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    data = CtcDataset(cuts, architecture.frontend, no_tokens, BATCH_SECONDS, BATCH_SECONDS, seed=0).epoch()
    loader = load_steps(data, range(len(data)), workers)
    for batch in tqdm(loader, total=len(data), unit="batch", disable=None, desc=f"log-probs of {name}"):
        moved = batch.to(device)
        rows, lengths = model(moved.inputs, moved.lengths)
        for utterance, row, length in zip(batch.ids, rows.cpu().numpy(), lengths.tolist()):
            yield utterance, np.ascontiguousarray(row[:length])
