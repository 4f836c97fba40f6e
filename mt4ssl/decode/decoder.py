"""A corpus of log-probabilities to lattices, batch by batch, and these to hypotheses with any weights."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Callable, Optional
from uuid import uuid4

import k2
import numpy as np
from tqdm import tqdm

from mt4ssl.children import end_with_parent
from mt4ssl.decode.graph import load_graph, save_graph
from mt4ssl.decode.log_probs import length_batches, pad
from mt4ssl.decode.search import Beam, best_scores, best_words, get_lattice, prune, rescore, reweighted, scaled
from mt4ssl.decode.weights import Weights

Lattices = list[tuple[list[str], Path]]  # [(utterance ids of a batch, file of its lattices)]
Hypotheses = dict[Weights, dict[str, Optional[list[str]]]]  # {weights: {utterance id: words, None without a path}}
NARROWINGS = 3  # how many narrower beams an utterance that does not fit into memory is tried with


@dataclass
class Decoder:
    """Lattices of HLG, or these rescored with `g`, and the best words in them with weights that are chosen later.

    The lattices are made at `hlg_scale`, of log-probs to which `offsets` (V,) are added in every frame (see
    `log_prob_offsets`).
    """

    hlg: k2.Fsa
    words: Sequence[str]
    g: k2.Fsa | None = None
    hlg_scale: float = 1.0
    offsets: np.ndarray | float = 0.0
    beam: Beam = field(default_factory=Beam)
    arcs_per_frame: int = 50  # of lattices to rescore, on average over a batch; bounds memory and time

    @cached_property
    def graph(self) -> k2.Fsa:
        """HLG as the search wants it."""
        return scaled(self.hlg, self.hlg_scale)

    def make_lattice(self, matrices: list[np.ndarray], beam: Beam | None = None) -> k2.Fsa:
        """Return the lattices (FsaVec) of matrices (T, V), longest first; `beam` may be another than the decoder's."""
        log_probs, lengths = pad([matrix + self.offsets for matrix in matrices])
        lattice = get_lattice(log_probs.to(self.hlg.device), lengths, self.graph, beam or self.beam)
        if self.g is None:
            return prune(lattice)
        lattice = prune(lattice, self.arcs_per_frame * int(lengths.sum()))
        return rescore(lattice, self.hlg_scale, self.g)

    def make_batch(self, matrices: Mapping[str, np.ndarray], folder: Path, beam: Beam, batch: list[str]) -> Lattices:
        """Write the lattices of a batch, longest first; one that runs out of memory is split in two and retried.

        An utterance that does not even fit alone has no lattice.
        """
        try:
            lattice = self.make_lattice([matrices[utterance] for utterance in batch], beam)
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1:
                reason = str(error).partition("\n")[0]
                tqdm.write(f"warning: k2 fails at {batch[0]}: {reason}", file=sys.stderr)
                return []
            half = len(batch) // 2
            parts = batch[:half], batch[half:]
            return [made for part in parts for made in self.make_batch(matrices, folder, beam, part)]
        path = folder / f"{uuid4()}.pt"
        save_graph(lattice, path)
        return [(batch, path)]

    def make_lattices(
        self, matrices: Mapping[str, np.ndarray], lengths: Mapping[str, int], max_frames: int, folder: Path, jobs: int
    ) -> Lattices:
        """Write the lattices of all the matrices that have frames, and fit into memory, into `folder`.

        `lengths` are the frames of each; a batch has at most `max_frames` (see `length_batches`). Each of `jobs`
        processes, which share the graphs, takes a batch at a time. What k2 fails at, even by ending its process, is
        tried again utterance by utterance, then with narrower beams.
        """
        todo = list(length_batches({name: frames for name, frames in lengths.items() if frames}, max_frames))
        lattices: Lattices = []
        with tqdm(total=len(lengths), unit="utterance", disable=None) as progress:
            for beam in [self.beam, self.beam, *self.beam.narrower(NARROWINGS)]:
                failed: list[str] = []
                for batch, made in zip(todo, map_forked(partial(self.make_batch, matrices, folder, beam), todo, jobs)):
                    lattices += made or []
                    done = {utterance for names, _ in made or [] for utterance in names}
                    failed += [utterance for utterance in batch if utterance not in done]
                    progress.update(len(done))
                todo = [[utterance] for utterance in failed]
                if failed:
                    tqdm.write(f"warning: not decoded with {beam}: {' '.join(failed)}", file=sys.stderr)
        return lattices

    def decode_lattice(self, weights: Sequence[Weights], path: Path) -> list[list[list[str] | None]]:
        """Return the words of each utterance in a file of lattices, None where there is no path, for all weights."""
        return self.best(load_graph(path, self.hlg.device), weights)

    def best(self, lattice: k2.Fsa, weights: Sequence[Weights]) -> list[list[list[str] | None]]:
        """Return the words of each utterance's lattice, None where there is no path, for all weights."""
        scale = self.hlg_scale if self.g is None else 1.0
        best_scores(lattice)  # k2 keeps what it finds out about the lattice's shape, and copies take it along
        return [best_words(reweighted(lattice, scale, pair), self.words) for pair in weights]

    def decode(
        self, lattices: Lattices, utterances: Iterable[str], jobs: int, weights: Sequence[Weights]
    ) -> Hypotheses:
        """Return the hypotheses of all `utterances`, most of which have lattices, with all weights."""
        hypotheses: Hypotheses = {pair: dict.fromkeys(utterances) for pair in weights}
        found = map_forked(partial(self.decode_lattice, weights), [path for _, path in lattices], jobs)
        for (batch, _), decoded in zip(lattices, found):
            for pair, texts in zip(weights, decoded or []):  # a lattice that k2 fails at gives no words
                hypotheses[pair].update(zip(batch, texts))
        return hypotheses


_work: Callable[[Any], Any]  # what the processes of map_forked do, and came to have by being forked


def _remember(work: Callable[[Any], Any]) -> None:
    global _work  # noqa: PLW0603  (a forked process has no other way to get what cannot be pickled)
    _work = work
    end_with_parent()


def _do(item: Any) -> Any:
    return _work(item)


def map_forked(work: Callable[[Any], Any], items: Iterable[Any], jobs: int) -> Iterator[Any]:
    """As `map`, in `jobs` processes, or in this one where there are 0; None for an item that ended its process.

    `work` need not be picklable, and the graphs that it holds are not copied. With processes, k2 must not have searched
    in this one before: the threads it keeps do not survive a fork.
    """
    if jobs == 0:  # on a GPU, which processes cannot share by being forked
        yield from map(work, items)
        return
    left = list(items)
    while left:
        done = 0
        try:
            with ProcessPoolExecutor(jobs, get_context("fork"), _remember, (work,)) as pool:
                for result in pool.map(_do, left):
                    yield result
                    done += 1
        except BrokenProcessPool:  # one of these ended its process, and the others were lost with it
            for item in left[done : done + jobs]:
                yield from map_forked(work, [item], 1) if jobs > 1 else [None]
            done += jobs
        left = left[done:]
