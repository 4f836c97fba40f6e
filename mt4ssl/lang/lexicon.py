"""From words to tokens: the lexicon of a lang dir, with disambiguation symbols for graph compilation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mt4ssl.errors import UserError
from mt4ssl.files import write_lines
from mt4ssl.lang.pronunciations import read_entries
from mt4ssl.lang.symbols import BACKOFF, BEGIN, END, EPSILON, UNKNOWN, write_symbols
from mt4ssl.lang.units.base import BLANK, BOUNDARY, Unit

RESERVED = {EPSILON, BACKOFF, BEGIN, END}
RESERVED_IN_WORDS = (BOUNDARY, BLANK, "<unk>")  # sentencepiece would take them for what they mean as tokens
Lexicon = list[tuple[str, list[str]]]  # one (word, its tokens) per pronunciation


def choose_words(counts: Counter[str], size: int | None) -> list[str]:
    """Return the `size` most frequent words (None: all), sorted; `<UNK>` is never among them."""
    counts = Counter({word: count for word, count in counts.items() if word != UNKNOWN})
    reserved = sorted(word for word in counts if word in RESERVED or any(token in word for token in RESERVED_IN_WORDS))
    if reserved:
        raise UserError(
            f"the text has {' '.join(reserved[:5])} as a word, which a lang dir needs for itself: set "
            "punctuation: remove in corpus.yaml and run stage 1 again, or remove it from the text"
        )
    return sorted(sorted(counts, key=lambda word: (-counts[word], word))[:size])


def add_disambiguation(lexicon: Lexicon) -> tuple[Lexicon, int]:
    """Return the lexicon, `#1`, `#2`, … after spellings that are shared or begin others; and the last number.

    Only so can L∘G be determinised. Source: Kaldi, add_lex_disambig.pl.
    """
    spellings = Counter(tuple(tokens) for _, tokens in lexicon)
    prefixes = {tuple(tokens[:end]) for _, tokens in lexicon for end in range(1, len(tokens))}
    used: Counter[tuple[str, ...]] = Counter()
    marked = []
    for word, tokens in lexicon:
        spelling = tuple(tokens)
        if spellings[spelling] > 1 or spelling in prefixes:
            used[spelling] += 1
            marked.append((word, [*tokens, f"#{used[spelling]}"]))
        else:
            marked.append((word, tokens))
    return marked, max(used.values(), default=0)


def write_lang(lang_dir: str | Path, unit: Unit, words: Sequence[str]) -> None:
    """Write tokens.txt, words.txt, lexicon.txt and lexicon_disambig.txt in icefall's layout."""
    lang_dir = Path(lang_dir)
    lexicon = [(word, tokens) for word in words for tokens in unit.pronunciations(word)]
    marked, largest = add_disambiguation(lexicon)
    write_lexicon(lang_dir / "lexicon.txt", lexicon)
    write_lexicon(lang_dir / "lexicon_disambig.txt", marked)
    write_symbols(lang_dir / "words.txt", [EPSILON, UNKNOWN, *words, BACKOFF, BEGIN, END])
    write_symbols(lang_dir / "tokens.txt", [*unit.tokens, *(f"#{number}" for number in range(largest + 1))])


def write_lexicon(path: Path, lexicon: Lexicon) -> None:
    """Write one `WORD token token …` per line."""
    write_lines(path, (f"{word} {' '.join(tokens)}" for word, tokens in lexicon))


def read_lexicon(path: str | Path) -> Lexicon:
    """Return [(word, tokens)] of a file with one `WORD token token …` per line."""
    return list(read_entries(Path(path), "tokens", "python -m mt4ssl.bin.prepare_lang makes it"))


def count_words(sentences: Iterable[str]) -> Counter[str]:
    """Return how often each word occurs."""
    return Counter(word for sentence in sentences for word in sentence.split())
