"""Compile the graphs of a lang dir with k2: L.pt, L_disambig.pt, HLG.pt, and G_4_gram.pt where there is a 4-gram."""

from __future__ import annotations

import argparse
from pathlib import Path

from mt4ssl.decode.graph import compile_hlg, load_g, read_l, rescoring_g, save_graph
from mt4ssl.errors import UserError, run_main
from mt4ssl.lang.symbols import BACKOFF, read_symbols
from mt4ssl.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lang", type=Path, required=True, help="lang dir: read and written")
    lm = "folder with G_3_gram.fst.txt, and perhaps G_4_gram.fst.txt, of which G_4_gram.pt is made"
    parser.add_argument("--lm", type=Path, required=True, help=lm)
    args = parser.parse_args()

    token_backoff = read_symbols(args.lang / "tokens.txt")[BACKOFF]
    word_backoff = read_symbols(args.lang / "words.txt")[BACKOFF]
    g3 = load_g(args.lm / "G_3_gram.fst.txt")
    l_plain, l_disambig = read_l(args.lang)
    try:
        hlg = compile_hlg(l_disambig, g3, token_backoff, word_backoff)
    except (RuntimeError, MemoryError) as error:
        raise UserError(
            f"HLG of {g3.num_arcs} arcs of G does not fit ({str(error).splitlines()[:1]}); "
            "prune the ARPA file (train_lm --prune) or take fewer words (prepare_lang --vocab-size)"
        ) from error
    graphs = {args.lang / "L.pt": l_plain, args.lang / "L_disambig.pt": l_disambig, args.lang / "HLG.pt": hlg}
    g4 = args.lm / "G_4_gram.fst.txt"
    if g4.exists():
        graphs[args.lm / "G_4_gram.pt"] = rescoring_g(load_g(g4), word_backoff)
    for path, graph in graphs.items():
        save_graph(graph, path)
    rows = [[str(path), graph.arcs.num_elements(), path.stat().st_size / 2**20] for path, graph in graphs.items()]
    print_table("Decoding graphs", ["graph", "arcs", "MiB"], rows)


if __name__ == "__main__":
    run_main(main)
