"""Compile the graphs of a lang dir with k2: L.pt, L_disambig.pt, HLG.pt, and G_4_gram.pt to rescore with."""

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
    parser.add_argument("--lm", type=Path, required=True, help="G_3_gram.fst.txt, G_4_gram.fst.txt in, G_4_gram.pt out")
    args = parser.parse_args()

    token_backoff = read_symbols(args.lang / "tokens.txt")[BACKOFF]
    word_backoff = read_symbols(args.lang / "words.txt")[BACKOFF]
    g3, g4 = load_g(args.lm / "G_3_gram.fst.txt"), load_g(args.lm / "G_4_gram.fst.txt")
    l_plain, l_disambig = read_l(args.lang)
    try:
        hlg = compile_hlg(l_disambig, g3, token_backoff, word_backoff)
    except (RuntimeError, MemoryError) as error:
        raise UserError(
            f"HLG of {g3.num_arcs} arcs of G does not fit ({str(error).splitlines()[:1]}); "
            "prune the ARPA file (kaldingram prune) or take fewer words (prepare_lang --vocab-size)"
        ) from error
    graphs = {
        args.lang / "L.pt": l_plain,
        args.lang / "L_disambig.pt": l_disambig,
        args.lm / "G_4_gram.pt": rescoring_g(g4, word_backoff),
        args.lang / "HLG.pt": hlg,
    }
    for path, graph in graphs.items():
        save_graph(graph, path)
    rows = [[str(path), graph.arcs.num_elements(), path.stat().st_size / 2**20] for path, graph in graphs.items()]
    print_table("Decoding graphs", ["graph", "arcs", "MiB"], rows)


if __name__ == "__main__":
    run_main(main)
