"""Stage 11: every table of a recipe in one RESULTS.md, with the loss curves as PNG."""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path
from mt4ssl.results import rate_name, wer_notes
from mt4ssl.scoring import report

LABELS = """## Label quality

K-means labels of the dev set, against the phones of its alignment if it has one (HuBERT, section 4.3)."""
LAYERS = """## Layers

What each layer of a pre-trained model tells of phones (`mt4ssl.bin.probe`): accuracy of a linear probe on frames of
speakers that it did not learn from, ABX errors, PNMI of 100 K-means clusters, effective rank of the features."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp-dir", type=Path, default=Path("exp"), help="folder of the recipe's models and results")
    parser.add_argument("--test-sets", nargs="+", default=["test"], help="splits to report on")
    parser.add_argument("--lm-scores", type=Path, required=True, help="JSON of mt4ssl.bin.perplexity")
    parser.add_argument("--out", type=Path, required=True, help="RESULTS.md to write")
    args = parser.parse_args()

    finetune = args.exp_dir / "finetune"
    models = report.scored_models(finetune, args.test_sets)
    if not models:
        raise UserError(f"{finetune} has no model scored on {', '.join(args.test_sets)}: run stages 8 to 10")
    trainings = sorted(path.parent for path in (args.exp_dir / "pretrain").glob("*/final.pt"))
    trainings += [finetune / model for model in report.trained_models(finetune)]
    plots = [
        report.plot_curves(folder, args.out.parent / "plots" / f"{folder.parent.name}-{folder.name}.png")
        for folder in trainings
    ]
    scores = report.score_files(finetune, models, args.test_sets)
    notes = wer_notes(scores)
    missing = report.missing_scores(finetune, args.test_sets)
    wer = "\n\n".join([report.wer_table(finetune, models, args.test_sets), *notes, *missing])
    labels = report.label_table(args.exp_dir / "kmeans")
    layers = report.layer_tables(args.exp_dir / "probe", args.out.parent / "plots")
    text = "\n\n".join(
        [
            "# Results",
            report.environment_lines(Path.cwd()),
            f"## {rate_name(scores)}",
            "LM scales and word scores are chosen on dev; the interval is a 95 % bootstrap over utterances.",
            wer,
            "## Language models",
            "Perplexity per word, ends of sentences included; words out of the vocabulary (OOV) are left out.",
            report.lm_table(args.lm_scores),
            *notes,
            *([LABELS, labels] if labels else []),
            *([LAYERS, *layers] if layers else []),
            "## Trainings",
            report.training_tables(trainings),
            *(f"![{plot.stem}]({plot.relative_to(args.out.parent)})" for plot in plots),
            "## Wall time",
            report.duration_table(args.exp_dir / "log" / "durations.tsv"),
        ]
    )
    with atomic_path(args.out) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    print(f"\n{wer}\n\nwritten: {args.out}")


if __name__ == "__main__":
    run_main(main)
