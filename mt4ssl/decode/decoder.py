"""A corpus of log-probabilities to hypotheses, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from multiprocessing import get_context
from typing import Any, Callable, Optional

import k2
import numpy as np
from tqdm import tqdm

from mt4ssl.decode.log_probs import length_batches, pad
from mt4ssl.decode.search import Beam, Weights, best_scores, best_words, get_lattice, prune, rescore, reweighted, scaled
from mt4ssl.errors import UserError

Hypotheses = dict[Weights, dict[str, list[str]]]  # {weights: {utterance id: words}}
Decoded = list[tuple[str, dict[Weights, Optional[list[str]]]]]  # [(utterance id, {weights: words})]


@dataclass
class Decoder:
    """One-best over HLG, or over its lattices rescored with `g`, with each of `weights`.

    The lattices are made at `hlg_scale`.
    """

    hlg: k2.Fsa
    words: Sequence[str]
    weights: Sequence[Weights]
    g: k2.Fsa | None = None
    hlg_scale: float = 1.0
    beam: Beam = field(default_factory=Beam)
    arcs_per_frame: int = 50  # of lattices to rescore, on average over a batch; bounds memory and time

    @cached_property
    def graph(self) -> k2.Fsa:
        """HLG as the search wants it."""
        return scaled(self.hlg, self.hlg_scale)

    def decode_batch(self, matrices: list[np.ndarray]) -> dict[Weights, list[list[str] | None]]:
        """Return {weights: words of each matrix (T, V), longest first}, None where there is no path."""
        log_probs, lengths = pad(matrices)
        lattice = get_lattice(log_probs.to(self.hlg.device), lengths, self.graph, self.beam)
        if self.g is None:
            lattice, scale = prune(lattice), self.hlg_scale
        else:
            lattice = prune(lattice, self.arcs_per_frame * int(lengths.sum()))
            lattice, scale = rescore(lattice, self.hlg_scale, self.g), 1.0
        best_scores(lattice)  # k2 keeps what it finds out about the lattice's shape, and copies take it along
        return {weights: best_words(reweighted(lattice, scale, weights), self.words) for weights in self.weights}

    def decode_utterances(self, matrices: Mapping[str, np.ndarray], batch: list[str]) -> Decoded:
        """Return the hypotheses of a batch, longest first; one that runs out of memory is split in two and retried."""
        try:
            decoded = self.decode_batch([matrices[utterance] for utterance in batch])
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1:
                reason = str(error).partition("\n")[0]
                raise UserError(
                    f"utterance {batch[0]} cannot be decoded ({reason}); lower --output-beam or --max-active-states"
                ) from error
            half = len(batch) // 2
            return self.decode_utterances(matrices, batch[:half]) + self.decode_utterances(matrices, batch[half:])
        return [(utterance, dict(zip(decoded, texts))) for utterance, texts in zip(batch, zip(*decoded.values()))]

    def decode(
        self, matrices: Mapping[str, np.ndarray], lengths: Mapping[str, int], max_frames: int, jobs: int = 1
    ) -> tuple[Hypotheses, list[str]]:
        """Return hypotheses of all the matrices, and the ids of those without a path, left with no words.

        `lengths` are the frames of each; a batch has at most `max_frames` (see `length_batches`). Each of `jobs`
        processes, which share the graphs, takes a batch at a time.
        """
        batches = list(length_batches({name: frames for name, frames in lengths.items() if frames}, max_frames))
        hypotheses: Hypotheses = {weights: {name: [] for name in lengths} for weights in self.weights}
        without_path = set(lengths)
        work = partial(self.decode_utterances, matrices)
        with tqdm(total=len(lengths), unit="utterance", disable=None) as progress:
            for decoded in map_forked(work, batches, jobs) if jobs > 1 else map(work, batches):
                progress.update(len(decoded))
                for utterance, texts in decoded:
                    for weights, text in texts.items():
                        if text is not None:
                            hypotheses[weights][utterance] = text
                            without_path.discard(utterance)
        return hypotheses, sorted(without_path)


_work: Callable[[Any], Any]  # what the processes of map_forked do, and came to have by being forked


def _remember(work: Callable[[Any], Any]) -> None:
    global _work  # noqa: PLW0603  (a forked process has no other way to get what cannot be pickled)
    _work = work


def _do(item: Any) -> Any:
    return _work(item)


def map_forked(work: Callable[[Any], Any], items: Iterable[Any], jobs: int) -> Iterator[Any]:
    """As `map`, in processes; `work` need not be picklable, and the graphs that it holds are not copied."""
    with ProcessPoolExecutor(jobs, get_context("fork"), _remember, (work,)) as pool:
        yield from pool.map(_do, items)
