"""Kill a recipe again and again, start it with the same command each time, and compare what it finally writes.

For each variant of the tiny recipe (tests/recipes/tiny; all stages, 0 to 12) there are three runs: one that
nothing interrupts; one that is ended at random moments, every few seconds; and one that is ended in the middle
of writing certain files, checkpoints, manifests and arks among them. The last two are started again until they
end by themselves. After each kill every process of the run must end within half a minute, and the same command
must go on; at last all files must be those of the run that nothing interrupted, to the last bit. The moments
follow from --seed, and from how long that run took.

The variants are plain (phones; two rounds of K-means and pre-training, a model without pre-training beside the
other, rescoring with a 4-gram), on-the-fly, two-processes (--ngpu 2, under torchrun) and bpe; the last three
are shorter. They are more than a hundred kills together, and take about an hour and a half on two cores. k2 is
needed (tools/install_k2.sh).

--variants espeak is another one, of an hour: egs/espeak, killed (SIGKILL) twice in the middle of its pre-training
and twice in the middle of its fine-tuning.

Each kill is printed, and written to WORK/kills.md with its result once the run has ended. The exit status is
1 if a file differed, if a process went on running, or if a start failed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from compare import RULE, differences
from kills import AT_RANDOM, WHILE_WRITING, Kill, RandomMoments, Run, WritesOf

from mt4ssl.table import markdown_table, print_table

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests/recipes/tiny"
LOOP = "--loop.max_batch_seconds 10 --loop.workers 1 --loop.log_every 6 --loop.save_every 8"
SHORTER = ["--km-iter", "1", "--scratch", "false", "--rescore", "false"]
WRITES = """
download/espeak
data/manifests/espeak_supervisions_train.jsonl.gz
data/fbank/feats_train/00000.lca
data/fbank/espeak_cuts_train.jsonl.gz
exp/kmeans/iter1/centroids.npy
data/kmeans/iter1/kmeans_train
data/kmeans/iter1/espeak_cuts_train.jsonl.gz
exp/pretrain/mt4ssl_iter1/step-*.pt
exp/pretrain/mt4ssl_iter1/last.pt
exp/pretrain/mt4ssl_iter1/final.pt
data/lm_*/3gram.arpa
data/lang_*/HLG.pt
exp/finetune/mt4ssl_*/last.pt
exp/finetune/mt4ssl_*/averaged-2.pt
exp/finetune/mt4ssl_*/log_probs/dev.ark
exp/finetune/mt4ssl_*/log_probs/test.ark
exp/finetune/mt4ssl_*/1best/wer-test.json
exp/plots/pretrain-*.png
exp/export/ctc
"""
HEADER = ["variant", "stage and step", "signal", "moment", "all ended in", "result"]


@dataclass
class Variant:
    """A recipe, its options, and the files in whose writing it is killed."""

    options: list[str]
    writes: list[str]
    recipe: Path = TINY
    at_random: bool = True
    while_writing: list[Kill] = field(default_factory=WHILE_WRITING.copy)


def tiny(*options: str, unit: str = "phone", every: int = 2) -> Variant:
    """The tiny recipe with options; of the files, it is killed in every so-maniest."""
    trainings = ["--pretrain-args", f"--loop.updates 40 {LOOP}", "--finetune-args", f"--loop.updates 60 {LOOP}"]
    writes = WRITES.replace("_*", f"_{unit}").split()
    return Variant([*trainings, *options], writes[::every])


FP32 = "--loop.dtype fp32"  # `auto` depends on which is faster
VARIANTS = {
    "plain": tiny(every=1),
    "on-the-fly": tiny("--on-the-fly", "true", *SHORTER),
    "two-processes": tiny("--ngpu", "2", *SHORTER),
    "bpe": tiny("--unit", "bpe", "--bpe-size", "40", *SHORTER, unit="bpe_40"),
    "espeak": Variant(
        ["--stage", "0", "--pretrain-args", FP32, "--finetune-args", FP32],
        ["exp/pretrain/mt4ssl_iter1/last.pt"] * 2 + ["exp/finetune/mt4ssl_phone/last.pt"] * 2,
        ROOT / "egs/espeak",
        at_random=False,
        while_writing=[Kill(signal.SIGKILL, "all processes")],
    ),
}


@dataclass
class Row:
    """A kill, as the table shows it."""

    variant: str
    step: str
    kill: Kill
    moment: str
    seconds: float
    result: str

    def cells(self) -> list[str]:
        return [self.variant, self.step, str(self.kill), self.moment, f"{self.seconds:.1f} s", self.result]


class Campaign:
    """Runs of variants in the folder `work`, and the rows of all kills so far."""

    def __init__(self, work: Path, seed: int, mean_kills: int) -> None:
        self.work, self.seed, self.mean_kills = work, seed, mean_kills
        self.recipe = work / "a tiny recipe"  # of the run at hand: paths in it are the same in all runs
        self.rows: list[Row] = []
        self.problems: list[str] = []
        self.outputs = (work / f"output-{number}.txt" for number in itertools.count())

    def run_variant(self, name: str) -> None:
        """Run a variant without an interruption, then with both kinds; compare."""
        variant = VARIANTS[name]
        self.make_recipe(variant)
        begin = time.monotonic()
        command = [self.recipe / "run.sh", *variant.options]
        with Run(command, next(self.outputs)) as run:
            while not run.ends(1):
                pass
            self.check_end(name, run)
        seconds = time.monotonic() - begin
        print(f"{name}: {seconds:.0f} s without an interruption", flush=True)
        whole = self.work / f"{name} without an interruption"
        self.recipe.rename(whole)
        kinds = []
        if variant.at_random:
            generator = random.Random(f"{self.seed} {name}")
            kinds.append((RandomMoments(generator, seconds / self.mean_kills), AT_RANDOM))
        kinds.append((WritesOf(self.recipe, variant.writes), variant.while_writing))
        for moments, kills in kinds:
            self.make_recipe(variant)
            shutil.copytree(whole / "download/espeak_tools", self.recipe / "download/espeak_tools")  # from PyPI
            rows = self.end_again_and_again(name, command, moments, itertools.cycle(kills))
            self.compare(name, rows, whole)

    def make_recipe(self, variant: Variant) -> None:
        """Make a recipe that has not run yet."""
        made = shutil.ignore_patterns("download", "data", "exp*")
        shutil.copytree(variant.recipe, self.recipe, ignore=made)
        shutil.copytree(TINY / "local", self.recipe / "local", dirs_exist_ok=True)
        shutil.copy(TINY / "path.sh", self.recipe)

    def end_again_and_again(
        self, name: str, command: list[str | Path], moments: RandomMoments | WritesOf, kills: Iterator[Kill]
    ) -> list[Row]:
        """Start the command, end it at the next moment, and start it again, until it ends by itself."""
        rows: list[Row] = []
        while True:
            with Run(command, next(self.outputs)) as run:
                moment = moments.wait(run)
                if moment is None:
                    self.check_end(name, run)
                    return rows
                kill, step, begin = next(kills), run.last_step() or "before the first", time.monotonic()
                run.kill(kill, moment.writer)
                self.check_gone(name, run)
                rows.append(Row(name, step, kill, moment.text, time.monotonic() - begin, "not compared yet"))
                print(f"{name}, kill {len(rows)}: " + ", ".join(rows[-1].cells()[1:-1]), flush=True)

    def check_gone(self, name: str, run: Run) -> None:
        """Note what of a run goes on after its end."""
        self.problems += [f"{name}: went on running, see {run.output}: {command}" for command in run.left()]

    def check_end(self, name: str, run: Run) -> None:
        """Note a run that ended by itself, and failed or left something running."""
        self.check_gone(name, run)
        if run.process.returncode:
            lines = run.output.read_text(errors="replace").splitlines() or ["nothing was printed"]
            self.problems.append(f"{name}: status {run.process.returncode}, see {run.output}: {lines[-1]}")
            print(self.problems[-1], flush=True)

    def compare(self, name: str, rows: list[Row], whole: Path) -> None:
        """Compare what a run wrote with what the one without an interruption did; keep it if it is not the same."""
        different = differences(whole, self.recipe)
        result = f"{len(different)} files differ: {' '.join(different)}" if different else "bit-identical"
        for row in rows:
            row.result = result
        self.rows += rows
        print(f"{name}: after {len(rows)} kills: {result}", flush=True)
        if different:
            kept = Path(tempfile.mkdtemp(prefix=f"{name} that differs ", dir=self.work))
            self.recipe.rename(kept / "recipe")
            self.problems.append(f"{name}: {result}; it is kept in {kept}")
        else:
            shutil.rmtree(self.recipe)
        self.write()

    def write(self) -> None:
        """Write kills.md: how many kills there were of each stage, and each of them."""
        parts = [self.summary(), RULE, markdown_table(HEADER, [row.cells() for row in self.rows])]
        (self.work / "kills.md").write_text("\n\n".join([*parts, *self.problems]) + "\n", encoding="utf-8")

    def summary(self) -> str:
        """Kills by stage and signal."""
        signals = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
        rows = []
        for stage in sorted({row.step.rpartition(":")[0] for row in self.rows}, key=number_of):
            of_stage = [row for row in self.rows if row.step.rpartition(":")[0] == stage]
            counts = [sum(row.kill.number == number for row in of_stage) for number in signals]
            identical = sum(row.result == "bit-identical" for row in of_stage)
            inside = sum(row.moment.startswith("while") for row in of_stage)
            rows.append([stage or "before the first step", *counts, inside, f"{identical} of {len(of_stage)}"])
        rows.append(["all", *(sum(column) for column in list(zip(*rows))[1:5]), f"of {len(self.rows)}"])
        header = ["stage", *(number.name for number in signals), "inside a write", "bit-identical"]
        return markdown_table(header, rows)


def number_of(stage: str) -> int:
    """The number of "5 (pretrain)", -1 of ""."""
    return int(stage.partition(" ")[0] or -1)


def get_args() -> argparse.Namespace:
    usual = [name for name in VARIANTS if name != "espeak"]
    parser = argparse.ArgumentParser(
        prog="tests/faults/run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, help="folder of the runs, which stays (default: a temporary one)")
    parser.add_argument("--variants", nargs="+", default=usual, choices=VARIANTS, help=f"default: {' '.join(usual)}")
    parser.add_argument("--kills", type=int, default=18, help="random kills of each variant, about (default: 18)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    return parser.parse_args()


def main() -> None:
    args = get_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background, and so by all that is started
    os.environ.update(MT4SSL_ROOT=str(ROOT), OMP_NUM_THREADS="1")
    work = (args.work or Path(tempfile.mkdtemp(prefix="mt4ssl faults "))).absolute()
    work.mkdir(parents=True, exist_ok=True)
    print(f"the runs, and kills.md, are in {work}", flush=True)
    campaign = Campaign(work, args.seed, args.kills)
    for name in args.variants:
        campaign.run_variant(name)
    print_table("Kills", HEADER, [row.cells() for row in campaign.rows])
    print("\n".join(campaign.problems))
    print(f"{len(campaign.rows)} kills, {len(campaign.problems)} problems; the table is in {work / 'kills.md'}")
    sys.exit(bool(campaign.problems))


if __name__ == "__main__":
    main()
