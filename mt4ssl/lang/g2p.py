"""Grapheme-to-phoneme conversion, learnt from a lexicon: a joint n-gram model of letters and phones.

Bisani and Ney, "Joint-sequence models for grapheme-to-phoneme conversion", Speech Communication 50, 2008; here a unit
is always one letter with the phones that it stands for, of which it may have none.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mt4ssl.errors import UserError
from mt4ssl.files import require, write_lines
from mt4ssl.lang.kneser_ney import count_ngrams, estimate
from mt4ssl.lang.lines import read_lines
from mt4ssl.lang.symbols import END

ITERATIONS, ORDER, BEAM = 8, 7, 32  # chosen on the development words of benchmarks/g2p.py
WORDS_AT_ONCE = 256
Unit = tuple[str, str]  # a letter, and its phones separated by spaces
Entry = tuple[str, list[str]]  # a word and its phones


class G2P:
    """A model that gives words their phones; opened with the file that `train` writes.

    The file is the aligned lexicon: on each line a word, and after tabs the phones of each of its letters.
    """

    def __init__(self, path: Path) -> None:
        words = []
        for number, line in enumerate(read_lines(require(path, "training the G2P writes it")), 1):
            word, *phones = line.split("\t")
            if not word or len(phones) != len(word):
                raise UserError(
                    f"{path} line {number} is not a word and the phones of each letter: train the G2P again"
                )
            words.append(list(zip(word, phones)))
        if not words:
            raise UserError(f"{path} is empty: train the G2P again")
        self.model = JointNGrams(words)

    @classmethod
    def train(cls, lexicon: Sequence[Entry], path: Path) -> G2P:
        """Learn from a lexicon, write the file `path`, and open it; UserError where no entry can be learnt from.

        A letter has at most one phone more than letters have on average, rounded up: two in English. Entries with more
        phones than this allows are not learnt from (W for D AH B AH L Y UW), nor are those without phones.
        """
        spoken = [(word, phones) for word, phones in lexicon if word and phones]
        if not spoken:
            raise UserError("the lexicon has no word with phones: there is nothing to learn a G2P from")
        most = 1 + math.ceil(sum(len(phones) for _, phones in spoken) / sum(len(word) for word, _ in spoken))
        aligned = align([(word, phones) for word, phones in spoken if len(phones) <= most * len(word)], most)
        write_lines(path, ("\t".join([word, *phones]) for word, phones in aligned))
        return cls(path)

    def pronounce(self, words: Sequence[str]) -> dict[str, list[str]]:
        """Return {word: phones}, without the words that have a letter of no entry, or that come out without phones."""
        same_length = defaultdict(list)
        for word in dict.fromkeys(words):
            if word and self.model.letters.issuperset(word):
                same_length[len(word)].append(word)
        batches = [
            group[start : start + WORDS_AT_ONCE]
            for group in same_length.values()
            for start in range(0, len(group), WORDS_AT_ONCE)
        ]
        found: dict[str, list[str]] = {}
        for batch in tqdm(batches, unit="batch", disable=None if len(batches) > 1 else True, desc="pronouncing words"):
            found.update(zip(batch, self.model.search(batch)))
        return {word: phones for word, phones in found.items() if phones}


class JointNGrams:
    """A Kneser-Ney model of units, and the search for the best units of a word.

    The n-grams of all orders are numbered together: 0 is the empty one, 1 is `<s>`. The state of a search is the number
    of the longest n-gram that ends there.
    """

    def __init__(self, words: Sequence[Sequence[Unit]]) -> None:
        numbers: dict[Unit, int] = {}
        sentences = [" ".join(str(numbers.setdefault(unit, len(numbers))) for unit in word) for word in words]
        symbols, tables = count_ngrams(sentences, ORDER)
        probs, backoffs = estimate(tables)
        backoffs = [np.ones(1), *backoffs, np.ones(len(tables[-1].counts))]
        starts = [0, *accumulate((len(table.counts) for table in tables), initial=1)]  # numbers of each order, from 0
        self.size = len(symbols)
        # Ascending, since n-grams are sorted by order, context and last symbol: so they can be searched.
        keys = [(table.context + start) * self.size + table.last for table, start in zip(tables, starts)]
        self.keys = np.concatenate(keys)
        self.log_probs = np.log(np.maximum(np.concatenate(probs), 1e-99))  # that of <s> is 0, and never asked for
        self.log_backoffs = np.nan_to_num(np.log(np.concatenate(backoffs)))  # nan of n-grams that nothing follows
        self.suffixes = np.concatenate([[0], *(table.suffix + start for table, start in zip(tables, starts))])

        units = [("", ""), *numbers]
        self.units = [units[int(symbol) + 1] if symbol.isdigit() else units[0] for symbol in symbols]
        self.end = symbols.index(END)
        self.candidates = defaultdict(list)  # symbols of each letter
        for symbol, (letter, _) in enumerate(self.units):
            self.candidates[letter].append(symbol)
        self.letters = set(self.candidates)

    def advance(self, states: np.ndarray, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the log-probs (N,) of symbols (N,) in states (N,), and the states (N,) that they lead to."""
        states, reached, log_probs = states.copy(), np.zeros_like(states), np.zeros(len(states))
        todo = np.arange(len(states))
        while len(todo):  # the empty n-gram is followed by every symbol, so this ends
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
        """Return the phones of N words of the same length, by beam search."""
        rows = np.arange(len(words))[:, None]
        scores, states = np.zeros((len(words), 1)), np.ones((len(words), 1), dtype=int)
        paths = np.empty((len(words), 1, 0), dtype=int)  # (N, beam, letters so far)
        for letters in zip(*words):
            choices = pad([self.candidates[letter] for letter in letters])
            scores, states, best, choice = self.extend(scores, states, choices)
            paths = np.concatenate([paths[rows, best], choices[rows, choice][..., None]], axis=2)
        _, _, best, _ = self.extend(scores, states, np.full((len(words), 1), self.end))
        return [
            [phone for symbol in path for phone in self.units[symbol][1].split()]
            for path in paths[rows, best][:, 0].tolist()
        ]

    def extend(self, scores: np.ndarray, states: np.ndarray, choices: np.ndarray) -> tuple[np.ndarray, ...]:
        """Go on from scores and states (N, beam) with one of the choices (N, C), where -1 is none.

        Returns the best scores, their states, the place in the old beam that each comes from, and its choice.
        """
        shape = (*scores.shape, choices.shape[1])
        symbols = np.broadcast_to(choices[:, None], shape)
        valid = symbols >= 0
        totals, reached = np.full(shape, -np.inf), np.zeros(shape, dtype=int)
        totals[valid], reached[valid] = self.advance(np.broadcast_to(states[..., None], shape)[valid], symbols[valid])
        totals += scores[..., None]
        order = np.argsort(-totals.reshape(len(scores), -1), axis=1, kind="stable")[:, :BEAM]
        best, choice = np.divmod(order, shape[2])
        rows = np.arange(len(scores))[:, None]
        return totals[rows, best, choice], reached[rows, best, choice], best, choice


def pad(lists: Sequence[list[int]]) -> np.ndarray:
    """Return lists of numbers as the rows of one array, with -1 after the shorter ones."""
    longest = max(map(len, lists))
    return np.array([numbers + [-1] * (longest - len(numbers)) for numbers in lists])


def align(lexicon: Sequence[Entry], most: int) -> list[Entry]:
    """Return [(word, phones of each letter)]: each letter has 0 to `most` phones, and alike ones alike letters.

    Entries are aligned with the units that were frequent in the last alignment (Viterbi training); the first alignment,
    for which all units are alike, spreads phones evenly.
    """
    groups: dict[tuple[int, int], list[Entry]] = defaultdict(list)
    for word, phones in lexicon:
        groups[len(word), len(phones)].append((word, phones))
    units: dict[Unit, int] = {}
    grids = [make_grid(group, most, units) for group in groups.values()]
    weights = np.ones(len(units))
    for _ in tqdm(range(ITERATIONS), unit="iteration", disable=None, desc="aligning letters and phones"):
        paths = [best_paths(grid, weights) for grid in grids]
        counts = np.bincount(np.concatenate([path.ravel() for path in paths]), minlength=len(units))
        weights = counts / counts.max()
    phones_of = [phones for _, phones in units]
    return [
        (word, [phones_of[unit] for unit in path])
        for group, same in zip(groups.values(), paths)
        for (word, _), path in zip(group, same.tolist())
    ]


def make_grid(group: Sequence[Entry], most: int, units: dict[Unit, int]) -> np.ndarray:
    """Number all units that N words of L letters and P phones may have, and add new ones to `units`.

    Returns (N, L, P + 1, most + 1): the unit of a letter, with so many phones before it, and so many of its own.
    """
    letters: dict[str, int] = {}
    chunks: dict[str, int] = {}
    spelling = np.array([[letters.setdefault(letter, len(letters)) for letter in word] for word, _ in group])
    sound = np.array(
        [
            [
                [chunks.setdefault(" ".join(phones[begin : begin + own]), len(chunks)) for own in range(most + 1)]
                for begin in range(len(phones) + 1)
            ]
            for _, phones in group
        ]
    )
    pairs, places = np.unique(spelling[:, :, None, None] * len(chunks) + sound[:, None], return_inverse=True)
    letter_of, chunk_of = list(letters), list(chunks)
    numbers = [
        units.setdefault((letter_of[letter], chunk_of[chunk]), len(units))
        for letter, chunk in zip(*(index.tolist() for index in np.divmod(pairs, len(chunks))))
    ]
    shape = (*spelling.shape, *sound.shape[1:])
    return np.array(numbers, dtype=np.int32)[places].reshape(shape)  # of half the size, as the grids are large


def best_paths(grid: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the units (N, L) of a good alignment of each word, chosen from its last letter to its first.

    Each letter has as many phones as most of the weight of all alignments of the letters before it is in favour of.
    """
    sums = prefix_sums(weights[grid])
    words, path = np.arange(len(grid)), np.empty(grid.shape[:2], dtype=int)
    ends = np.full(len(grid), grid.shape[2] - 1)
    for letter in reversed(range(grid.shape[1])):
        scores = []
        for own in range(grid.shape[3]):
            begins = np.maximum(ends - own, 0)
            score = sums[words, letter, begins] * weights[grid[words, letter, begins, own]]
            scores.append(np.where(own <= ends, score, -1))
        best = np.argmax(scores, axis=0)
        ends -= best
        path[:, letter] = grid[words, letter, ends, best]
    return path


def prefix_sums(weights: np.ndarray) -> np.ndarray:
    """Return the weight (N, L + 1, P + 1) of all alignments of the first letters with the first phones, of a grid's.

    It is scaled to a sum of one for each letter, lest that of a long word becomes zero.
    """
    count, length, size, choices = weights.shape
    sums = np.zeros((count, length + 1, size))
    sums[:, 0, 0] = 1
    for letter in range(length):
        for own in range(min(choices, size)):
            sums[:, letter + 1, own:] += sums[:, letter, : size - own] * weights[:, letter, : size - own, own]
        sums[:, letter + 1] /= sums[:, letter + 1].sum(1, keepdims=True)
    return sums
