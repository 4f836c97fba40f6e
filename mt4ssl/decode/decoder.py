"""A corpus of log-probabilities to hypotheses, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Mapping, Optional, Sequence

import k2
import numpy as np

from mt4ssl.decode.batches import length_batches, pad
from mt4ssl.decode.search import Weights, best_words, get_lattice, prune, rescore, reweighted, scaled
from mt4ssl.errors import UserError

Hypotheses = dict[Weights, dict[str, list[str]]]  # {weights: {utterance id: words}}


@dataclass
class Decoder:
    """One-best over HLG, or over its lattices rescored with `g`, with each of `weights`.

    The lattices are made at `hlg_scale`; beams as in `get_lattice`.
    """

    hlg: k2.Fsa
    words: Sequence[str]
    weights: Sequence[Weights]
    g: Optional[k2.Fsa] = None
    hlg_scale: float = 1.0
    search_beam: float = 20.0
    output_beam: float = 8.0
    min_active_states: int = 30
    max_active_states: int = 10000
    arcs_per_frame: int = 50  # of lattices to rescore, on average over a batch; bounds memory and time

    @cached_property
    def graph(self) -> k2.Fsa:
        """HLG as the search wants it."""
        return scaled(self.hlg, self.hlg_scale)

    def decode_batch(self, matrices: list[np.ndarray]) -> dict[Weights, list[Optional[list[str]]]]:
        """Return {weights: words of each matrix (T, V), longest first}, None where there is no path."""
        log_probs, lengths = pad(matrices)
        lattice = get_lattice(
            log_probs.to(self.hlg.device),
            lengths,
            self.graph,
            self.search_beam,
            self.output_beam,
            self.min_active_states,
            self.max_active_states,
        )
        if self.g is None:
            lattice, scale = prune(lattice), self.hlg_scale
        else:
            lattice = prune(lattice, self.arcs_per_frame * int(lengths.sum()))
            lattice, scale = rescore(lattice, self.hlg_scale, self.g), 1.0
        return {weights: best_words(reweighted(lattice, scale, weights), self.words) for weights in self.weights}

    def decode(
        self,
        matrices: Mapping[str, np.ndarray],
        lengths: Mapping[str, int],
        max_frames: int,
    ) -> tuple[Hypotheses, list[str]]:
        """Return hypotheses of all the matrices, and the ids of those without a path, left with no words.

        `lengths` are the frames of each; a batch has at most `max_frames` (see `length_batches`).
        """
        without_path = [utterance for utterance, frames in lengths.items() if frames == 0]
        hypotheses: Hypotheses = {weights: {utterance: [] for utterance in without_path} for weights in self.weights}
        pending = list(length_batches({name: frames for name, frames in lengths.items() if frames}, max_frames))
        while pending:
            batch = pending.pop()
            try:
                decoded = self.decode_batch([matrices[utterance] for utterance in batch])
            except (RuntimeError, MemoryError) as error:
                if len(batch) == 1:
                    reason = str(error).partition("\n")[0]
                    raise UserError(
                        f"utterance {batch[0]} cannot be decoded ({reason}); lower --output-beam or --max-active-states"
                    ) from error
                half = len(batch) // 2  # too large for the memory there is: the same, in two halves
                pending += [batch[half:], batch[:half]]
                continue
            for weights, texts in decoded.items():
                hypotheses[weights].update((utterance, text or []) for utterance, text in zip(batch, texts))
            without_path += [utterance for utterance, text in zip(batch, texts) if text is None]
        return hypotheses, sorted(without_path)
