"""k2 decoding, as recipes call it, against torchaudio's lexicon decoder with KenLM: same log-probs, lexicon and LMs."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import kaldiio
import torch
from lhotse import SupervisionSet
from rows import Row, write_rows

from mt4ssl.files import atomic_path
from mt4ssl.lang.symbols import is_disambiguation, read_symbols, read_text
from mt4ssl.results import interval_cell
from mt4ssl.scoring.wer import ErrorRate, score
from mt4ssl.table import markdown_table

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "egs/espeak"
FLASHLIGHT, WHEEL = HERE / ".venv-flashlight", "flashlight-text==0.0.7"  # torchaudio has the rest; KenLM is inside
RECIPE_BEAMS = ["--max-active-states", "3000"]  # decode_args of egs/espeak/run.sh
NARROW_BEAMS = ["--search-beam", "5", "--output-beam", "3", "--max-active-states", "200", "--max-frames", "16000"]
OUR_WORD_SCORES = ["--word-scores", "0", "2", "4", "6"]  # tried on dev, with the default LM scales
LM_WEIGHTS, WORD_SCORES = (2.0, 2.5, 3.0, 3.5), (2.0, 4.0, 5.0, 6.0, 8.0)  # tried on dev at beam 50
TARGET = 5
Text = dict[str, list[str]]


@dataclass
class Task:
    """What is decoded: log-probs of dev and test of a fine-tuned model, and the lang dir and LMs of its recipe."""

    model: Path
    data: Path
    refs: dict[str, Text] = field(init=False)

    def __post_init__(self) -> None:
        self.refs = {split: read_text(self.model / f"log_probs/{split}.text") for split in ("dev", "test")}
        supervisions = SupervisionSet.from_file(self.data / "manifests/espeak_supervisions_test.jsonl.gz")
        self.seconds = sum(supervision.duration for supervision in supervisions)

    def error_rate(self, split: str, hypotheses: Text) -> ErrorRate:
        return score(self.refs[split], hypotheses)


class K2:
    """`mt4ssl.bin.decode` in a process of its own, with the LM scale and word score that are best on dev."""

    def __init__(self, task: Task, order: int, beams: list[str], folder: Path) -> None:
        self.task, self.order, self.beams, self.folder = task, order, beams, folder
        self.run("dev")
        score_dev = ["--ref", str(task.model / "log_probs/dev.text"), "--split", "dev", "--out", str(folder)]
        subprocess.run([sys.executable, "-m", "mt4ssl.bin.score", *score_dev], check=True, stdout=subprocess.DEVNULL)
        self.name = "whole-lattice rescoring" if order == 4 else "one-best over HLG"

    def run(self, split: str) -> float:
        """Decode and return the seconds of the search, which it prints: without its start and loading."""
        command = [HERE.parent / "utils/k2_python.sh", "-m", "mt4ssl.bin.decode", "--split", split, *self.beams]
        command += ["--log-probs", self.task.model / f"log_probs/{split}.scp", "--lang", self.task.data / "lang_char"]
        command += ["--out", self.folder, "--method", "whole-lattice-rescoring" if self.order == 4 else "1best"]
        command += ["--rescore-with", self.task.data / "lm/G_4_gram.pt"] if self.order == 4 else []
        command += ["--weights-from", self.folder / "wer-dev.json"] if split == "test" else OUR_WORD_SCORES
        printed = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
        return float(re.findall(r"^  seconds +(\S+)$", printed, re.MULTILINE)[0])

    def timed_test(self) -> tuple[float, ErrorRate, str]:
        seconds = self.run("test")
        (path,) = self.folder.glob("hyps-test-*.txt")
        return seconds, self.task.error_rate("test", read_text(path)), path.stem[len("hyps-test-") :].replace("_", " ")


class Flashlight:
    """torchaudio's `ctc_decoder` with KenLM, weights tuned on dev at beam 50.

    It cannot repeat the last token of a word unless its silence token follows, so it is given what it is made for:
    spellings that end in the word mark instead of beginning with it, and a last frame that is the word mark. With our
    own spellings its WER on dev is three points higher.
    """

    def __init__(self, task: Task, order: int, folder: Path) -> None:
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import create_word_dict, load_words

        self.task, self.lexicon, lang = task, folder / "lexicon.txt", task.data / "lang_char"
        entries = [line.split() for line in (lang / "lexicon.txt").read_text(encoding="utf-8").splitlines()]
        self.lexicon.write_text("".join(f"{word} {' '.join(rest)} {mark}\n" for word, mark, *rest in entries))
        self.tokens = [token for token in read_symbols(lang / "tokens.txt") if not is_disambiguation(token)]
        end = torch.full((1, len(self.tokens)), -30.0)
        end[0, self.tokens.index("▁")] = 0.0
        self.log_probs = {
            split: {
                name: torch.cat([torch.tensor(matrix), end])[None].contiguous()
                for name, matrix in kaldiio.load_scp(str(task.model / f"log_probs/{split}.scp")).items()
            }
            for split in task.refs
        }
        self.lm = KenLM(str(task.data / f"lm/{order}gram.arpa"), create_word_dict(load_words(str(self.lexicon))))
        self.weights = min(
            itertools.product(LM_WEIGHTS, WORD_SCORES), key=lambda weights: self.timed("dev", 50, weights)[1].wer
        )

    def timed(self, split: str, beam: int, weights: tuple[float, float]) -> tuple[float, ErrorRate]:
        """Return the seconds of decoding, without building the decoder, and the errors."""
        from torchaudio.models.decoder import ctc_decoder

        decoder = ctc_decoder(
            str(self.lexicon), self.tokens, self.lm, beam_size=beam, lm_weight=weights[0], word_score=weights[1],
            blank_token="<blk>", sil_token="▁",
        )  # fmt: skip
        begin = time.perf_counter()
        found = {name: decoder(matrix)[0] for name, matrix in self.log_probs[split].items()}
        seconds = time.perf_counter() - begin
        return seconds, self.task.error_rate(
            split, {name: best[0].words if best else [] for name, best in found.items()}
        )


def install_flashlight() -> None:
    """Put the decoder's wheel, which has no dependencies, into a folder of its own, and on the path."""
    if not FLASHLIGHT.exists():
        with atomic_path(FLASHLIGHT) as temporary:
            uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable, "--no-deps"]
            subprocess.run([*uv, "--only-binary", ":all:", "--target", str(temporary), WHEEL], check=True)
            (temporary / ".gitignore").write_text("*\n")
    sys.path.insert(0, str(FLASHLIGHT))


def compare(ours: K2, peer: Flashlight, beam: int, count: int) -> tuple[Row, list[list]]:
    """Decode test with both in turn, `count` times; return the row, and a line for each in the table of WERs."""
    measured = [(ours.timed_test(), peer.timed("test", beam, peer.weights)) for _ in range(count)]
    (_, rate, scale), (_, peer_rate) = measured[0]
    mine = statistics.median(pair[0][0] for pair in measured)
    theirs = statistics.median(pair[1][0] for pair in measured)
    ratio = statistics.median(pair[1][0] / pair[0][0] for pair in measured)
    audio, narrow = ours.task.seconds, ", narrow beams" if ours.beams == NARROW_BEAMS else ""
    name = f"{ours.name}, {ours.order}-gram{narrow}"
    limit = (
        "k2.intersect_dense_pruned takes most of our time" if ours.order == 3 else "the search, and rescoring after it"
    )
    peer_name = f"flashlight, {ours.order}-gram, beam {beam}"
    lines = [
        [decoder, settings, result.wer, interval_cell(result.ci95), seconds, f"{seconds / audio:.5f}"]
        for decoder, settings, result, seconds in (
            (f"k2, {name}", scale, rate, mine),
            (peer_name, "LM weight {}, word score {}".format(*peer.weights), peer_rate, theirs),
        )
    ]
    row = Row(
        f"decoding {audio:.0f} s of speech: {name}", audio / mine, "audio s/s", f">= {TARGET} x at no higher WER",
        ratio >= TARGET and rate.wer <= peer_rate.wer,
        f"WER {rate.wer:.2f} against {peer_rate.wer:.2f}" + ("" if ratio >= TARGET else f"; the limit: {limit}"),
        peer_name, audio / theirs, ratio,
    )  # fmt: skip
    return row, lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write the rows to")
    parser.add_argument("--model", type=Path, default=RECIPE / "exp/finetune/mt4ssl", help="with log_probs/")
    parser.add_argument("--data", type=Path, default=RECIPE / "data", help="with lang_char/, lm/ and manifests/")
    args = parser.parse_args()
    args.out, args.model, args.data = args.out.resolve(), args.model.resolve(), args.data.resolve()
    os.chdir(RECIPE)  # the paths of its log-probs start there
    if args.model.is_relative_to(RECIPE) and not (args.model / "log_probs/test.text").exists():
        subprocess.run([RECIPE / "run.sh", "--unit", "char", "--stop-stage", "9"], check=True)
    install_flashlight()
    task, rows, table = Task(args.model, args.data), [], []
    with tempfile.TemporaryDirectory() as temporary:
        for order in (3, 4):
            peer = Flashlight(task, order, Path(temporary))
            for beams, comparisons in ((RECIPE_BEAMS, ((1500, 2), (50, 3))), (NARROW_BEAMS, ((50, 3),))):
                ours = K2(task, order, beams, Path(temporary) / f"{order}-{len(beams)}")
                for beam, count in comparisons:
                    row, lines = compare(ours, peer, beam, count)
                    rows.append(row)
                    table += [line for line in lines if line[0] not in [known[0] for known in table]]
    text = (
        "Seconds and real-time factor are of the search alone, without process start, loading and compilation. Both "
        "search on one thread; weights and scales are the best on dev, the peer's at beam 50. The peer's spellings "
        "end in the word mark, with which it does best.\n\n"
    )
    header = ["decoder", "chosen on dev", "WER of test", "95 % interval", "seconds", "real-time factor"]
    write_rows(rows, args.out, text + markdown_table(header, table))


if __name__ == "__main__":
    main()
