"""Stage 9: average checkpoints, write CTC log-probs as Kaldi ark/scp, and the hypotheses of greedy search."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import List

import numpy as np
import torch
from kaldiio import WriteHelper
from tqdm import tqdm

from mt4ssl.checkpoint import average_checkpoints, save_checkpoint, step_checkpoints
from mt4ssl.data.datasets import CtcDataset, load_steps, read_cuts, transcript
from mt4ssl.decode.greedy import greedy_search
from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path, require
from mt4ssl.lang.symbols import write_text
from mt4ssl.lang.tokens import Tokens
from mt4ssl.table import print_table
from mt4ssl.train.finetuning import load_ctc
from mt4ssl.train.loop import to_device

BATCH_SECONDS = 60.0


def average_last(folder: Path, count: int) -> Path:
    """Return the file that holds the mean of the last `count` step checkpoints; UserError if there are fewer."""
    steps = step_checkpoints(folder)
    if len(steps) < count:
        raise UserError(f"{folder} has {len(steps)} step checkpoints, not {count}: lower --avg or raise loop.keep")
    path = folder / f"averaged-{count}.pt"
    if path.exists() and path.stat().st_mtime_ns > max(step.stat().st_mtime_ns for step in steps):
        return path
    save_checkpoint(
        path, {"model": average_checkpoints(steps[-count:]), "from": [step.name for step in steps[-count:]]}
    )
    return path


def no_tokens(text: str, utterance: str) -> List[int]:
    """Of the reference none are needed; and a test set may have characters that the model does not know."""
    return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True, help="folder that stage 8 wrote")
    parser.add_argument("--avg", type=int, default=5, help="checkpoints to average")
    parser.add_argument("--cuts", type=Path, required=True)
    parser.add_argument("--split", required=True)
    args = parser.parse_args()

    require(args.exp / "final.pt", "made by stage 8 (finetune)")
    model, config, architecture = load_ctc(args.exp, average_last(args.exp, args.avg))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    tokens = Tokens(args.exp)
    cuts, _ = read_cuts(str(args.cuts))
    data = CtcDataset(cuts, architecture.frontend, no_tokens, BATCH_SECONDS, BATCH_SECONDS, seed=0).epoch()

    log_probs = args.exp / "log_probs"
    hypotheses = {}
    with atomic_path(log_probs / f"{args.split}.ark") as ark, atomic_path(log_probs / f"{args.split}.scp") as scp:
        with WriteHelper(f"ark,scp:{ark},{scp}") as writer, torch.inference_mode():
            loader = load_steps(data, range(len(data)), config.loop.workers)
            for batch in tqdm(loader, unit="batch", disable=None, desc=f"log-probs of {args.split}"):
                moved = to_device(batch, device)
                rows, lengths = model(moved.inputs, moved.lengths)
                for name, row, length in zip(batch.ids, rows.cpu().numpy(), lengths.tolist()):
                    writer(name, np.ascontiguousarray(row[:length]))
                    hypotheses[name] = tokens.decode(greedy_search(row[:length]))
        # The scp was written against the temporary ark.
        scp.write_text(scp.read_text().replace(str(ark), str(log_probs / f"{args.split}.ark")))
    write_text(log_probs / f"{args.split}.text", {cut.id: transcript(cut).split() for cut in cuts})
    greedy = args.exp / "ctc-greedy-search" / f"hyps-{args.split}.txt"
    write_text(greedy, {name: text.split() for name, text in hypotheses.items()})
    print_table(
        f"log-probs of {args.split} from {args.exp}",
        ["split", "utterances in", "out", "rejected", "checkpoints averaged"],
        [[args.split, len(cuts), len(hypotheses), len(cuts) - len(hypotheses), args.avg]],
    )


if __name__ == "__main__":
    run_main(main)
