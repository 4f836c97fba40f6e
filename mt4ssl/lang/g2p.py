"""Grapheme-to-phoneme conversion learnt from a lexicon: a joint n-gram model (Bisani and Ney, Speech Communication 50,
2008) of units that are one letter and the phones it stands for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require
from mt4ssl.lang.kneser_ney import count_ngrams, estimate
from mt4ssl.lang.lines import read_lines
from mt4ssl.lang.symbols import END

MOST = 2  # phones that a letter may stand for, as X for K S
ITERATIONS, ORDER, BEAM = 8, 7, 32  # chosen on held-out words of CMUdict: benchmarks/g2p.py
WORDS_AT_ONCE = 256
Unit = tuple[str, str]  # a letter, and its phones separated by spaces


class G2P:
    """A model that gives words their phones; opened with the file that `train` writes.

    The file is the aligned lexicon: on each line a word, and after tabs the phones of each of its letters.
    """

    def __init__(self, path: Path) -> None:
        entries = []
        for number, line in enumerate(read_lines(require(path, "the training of the G2P writes it")), 1):
            word, *phones = line.split("\t")
            if not word or len(phones) != len(word):
                raise UserError(f"{path} line {number}: this is no file of a G2P: train it again")
            entries.append(list(zip(word, phones)))
        if not entries:
            raise UserError(f"{path} is empty: train the G2P again")
        self.model = JointNGrams(entries)

    @classmethod
    def train(cls, lexicon: Sequence[tuple[str, list[str]]], path: Path) -> G2P:
        """Learn from a lexicon, write the file `path` and open it; UserError where no entry can be learnt from.

        Left out are entries that have no phones, or more than two for each letter, as W for D AH B AH L Y UW.
        """
        entries = [(word, phones) for word, phones in lexicon if 0 < len(phones) <= MOST * len(word)]
        if not entries:
            raise UserError("the lexicon has no word with one to two phones for each letter: there is no G2P to learn")
        aligned = align(entries)
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines("\t".join([word, *phones]) + "\n" for word, phones in aligned)
        return cls(path)

    def pronounce(self, words: Sequence[str]) -> dict[str, list[str]]:
        """Return {word: phones}, without words of which a letter is unknown or that come out without any phone."""
        by_length = defaultdict(list)
        for word in dict.fromkeys(words):
            if word and self.model.letters.issuperset(word):
                by_length[len(word)].append(word)
        batches = [
            same[start : start + WORDS_AT_ONCE]
            for same in by_length.values()
            for start in range(0, len(same), WORDS_AT_ONCE)
        ]
        found = {}
        for batch in tqdm(batches, unit="batch", disable=None, desc="pronouncing"):
            found.update(zip(batch, self.model.search(batch)))
        return {word: found[word] for word in dict.fromkeys(words) if found.get(word)}


class JointNGrams:
    """A Kneser-Ney model of units, and the search for the best units of a word.

    All n-grams, of every order, have one numbering: 0 is the empty one, which is followed by those of order 1, 2, ….
    So the state of a search is one number: that of the longest n-gram that ends here.
    """

    def __init__(self, entries: Sequence[Sequence[Unit]]) -> None:
        numbers: dict[Unit, int] = {}
        sentences = [" ".join(str(numbers.setdefault(unit, len(numbers))) for unit in entry) for entry in entries]
        symbols, tables = count_ngrams(sentences, ORDER)
        probs, backoffs = estimate(tables)
        starts = list(accumulate((len(table.counts) for table in tables), initial=1))  # of the orders, in the numbering
        shorter = [0, *starts]
        self.size = len(symbols)
        self.keys = np.concatenate(  # (G,) ascending, since contexts are
            [(table.context + start) * self.size + table.last for table, start in zip(tables, shorter)]
        )
        self.log_probs = np.log(np.maximum(np.concatenate(probs), 1e-99))  # <s> has probability 0, and is never asked
        # From here on with the empty n-gram in front.
        self.suffixes = np.concatenate([[0], *(table.suffix + start for table, start in zip(tables, shorter))])
        longest = np.full(len(tables[-1].counts), np.nan)
        self.log_backoffs = np.nan_to_num(np.log(np.concatenate([[1.0], *backoffs, longest])))  # nan: nothing follows
        units = list(numbers)
        self.phones = [units[int(symbol)][1].split() if symbol.isdigit() else [] for symbol in symbols]
        self.end = symbols.index(END)
        candidates = defaultdict(list)
        for number, symbol in enumerate(symbols):
            if symbol.isdigit():
                candidates[units[int(symbol)][0]].append(number)
        self.letters = set(candidates)
        most = max(map(len, candidates.values()))
        self.candidates = {letter: found + [-1] * (most - len(found)) for letter, found in candidates.items()}

    def advance(self, states: np.ndarray, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log-probs (N,) of symbols (N,) after states (N,), and the new states (N,)."""
        states, log_probs, reached = states.copy(), np.zeros(len(states)), np.zeros_like(states)
        todo = np.arange(len(states))
        while len(todo):
            keys = states[todo] * self.size + symbols[todo]
            places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            known = self.keys[places] == keys
            log_probs[todo[known]] += self.log_probs[places[known]]
            reached[todo[known]] = places[known] + 1
            todo = todo[~known]
            log_probs[todo] += self.log_backoffs[states[todo]]
            states[todo] = self.suffixes[states[todo]]
        return log_probs, reached

    def search(self, words: Sequence[str]) -> list[list[str]]:
        """Return the phones of words of one length, by beam search."""
        rows = np.arange(len(words))[:, None]
        scores, states = np.zeros((len(words), 1)), np.ones((len(words), 1), dtype=int)  # N-gram 1 is <s>
        paths = np.zeros((len(words), 1, 0), dtype=int)  # (N, beam, letters so far)
        columns = [*zip(*words), None]
        for column in columns:
            choices = np.array([self.candidates[letter] for letter in column] if column else [[self.end]] * len(words))
            shape = (*scores.shape, choices.shape[1])  # (N, beam, choices)
            symbols = np.broadcast_to(choices[:, None], shape)
            real = symbols >= 0
            totals, reached = np.full(shape, -np.inf), np.zeros(shape, dtype=int)
            totals[real], reached[real] = self.advance(np.broadcast_to(states[..., None], shape)[real], symbols[real])
            totals += scores[..., None]
            best = np.argsort(-totals.reshape(len(words), -1), axis=1, kind="stable")[:, :BEAM]
            beam, choice = np.divmod(best, shape[2])
            scores, states = totals[rows, beam, choice], reached[rows, beam, choice]
            paths = np.concatenate([paths[rows, beam], choices[rows, choice][..., None]], axis=2)
        return [[phone for unit in path for phone in self.phones[unit]] for path in paths[:, 0].tolist()]


def align(lexicon: Sequence[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """Return [(word, phones of each letter)], by expectation maximisation; each letter has none to two phones."""
    groups = defaultdict(list)
    for word, phones in lexicon:
        groups[len(word), len(phones)].append((word, phones))
    units: dict[Unit, int] = {}
    grids = [make_grid(group, units) for group in groups.values()]
    weights = np.ones(len(units))
    for _ in tqdm(range(ITERATIONS), unit="iteration", disable=None, desc="aligning letters and phones"):
        counts = sum(np.bincount(best_paths(grid, weights).ravel(), minlength=len(units)) for grid in grids)
        weights = counts / counts.max()
    phones_of = [phones for _, phones in units]
    return [
        (word, [phones_of[unit] for unit in path])
        for group, grid in zip(groups.values(), grids)
        for (word, _), path in zip(group, best_paths(grid, weights).tolist())
    ]


def make_grid(group: Sequence[tuple[str, list[str]]], units: dict[Unit, int]) -> np.ndarray:
    """Number the possible units of N words with L letters and P phones; new ones are added to `units`.

    Returns (N, L, P + 1, MOST + 1): letter, phones that come before it, phones that it has.
    """
    chunks: dict[str, int] = {}
    letters: dict[str, int] = {}
    spans = np.array(
        [
            [
                [chunks.setdefault(" ".join(phones[begin : begin + count]), len(chunks)) for count in range(MOST + 1)]
                for begin in range(len(phones) + 1)
            ]
            for _, phones in group
        ]
    )
    spelling = np.array([[letters.setdefault(letter, len(letters)) for letter in word] for word, _ in group])
    pairs, places = np.unique(spelling[:, :, None, None] * len(chunks) + spans[:, None], return_inverse=True)
    letter_names, chunk_names = list(letters), list(chunks)
    numbers = [
        units.setdefault((letter_names[pair // len(chunks)], chunk_names[pair % len(chunks)]), len(units))
        for pair in pairs.tolist()
    ]
    return np.array(numbers, dtype=np.int32)[places].reshape(len(group), -1, *spans.shape[1:])


def prefix_weights(weights: np.ndarray) -> np.ndarray:
    """Return the sums over alignments (N, L + 1, P + 1) of the first letters with the first phones, of a grid's weights.

    Each letter's are scaled to sum to one, which keeps those of long words above zero.
    """
    count, length, ends, _ = weights.shape
    sums = np.zeros((count, length + 1, ends))
    sums[:, 0, 0] = 1
    for letter in range(length):
        for taken in range(MOST + 1):
            sums[:, letter + 1, taken:] += sums[:, letter, : ends - taken] * weights[:, letter, : ends - taken, taken]
        sums[:, letter + 1] /= sums[:, letter + 1].sum(1, keepdims=True)
    return sums


def best_paths(grid: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the units (N, L) of one alignment of each word, chosen from the last letter to the first.

    The phones of a letter are those that most of the weight of the alignments of what comes before goes through.
    """
    sums = prefix_weights(weights[grid])
    count, length = grid.shape[:2]
    words, path = np.arange(count), np.empty((count, length), dtype=int)
    ends = np.full(count, grid.shape[2] - 1)  # phones that are left
    for letter in reversed(range(length)):
        options = []
        for taken in range(MOST + 1):
            begins = np.maximum(ends - taken, 0)
            scores = sums[words, letter, begins] * weights[grid[words, letter, begins, taken]]
            options.append(np.where(taken <= ends, scores, -1))
        taken = np.argmax(options, axis=0)
        ends -= taken
        path[:, letter] = grid[words, letter, ends, taken]
    return path
