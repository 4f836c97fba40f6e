"""Decoding graphs with k2: L, L_disambig, HLG and the G that rescores, compiled in icefall's manner."""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import k2
import torch

from mt4ssl.errors import UserError
from mt4ssl.files import atomic_path, require
from mt4ssl.lang.lexicon import Lexicon, read_lexicon
from mt4ssl.lang.symbols import BACKOFF, read_symbols


def save_graph(graph: k2.Fsa, path: str | Path) -> None:
    """Write a graph as the dict of its tensors, as icefall does; a ragged one is a dict of two, and no object of k2."""
    content = BytesIO()  # where a disk is full, k2's torch would end the process
    torch.save({name: _without_k2(value) for name, value in graph.as_dict().items()}, content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_graph(path: str | Path, device: str | torch.device = "cpu") -> k2.Fsa:
    """Read a graph that `save_graph` wrote, or icefall, of plain tensors; UserError if it holds anything else."""
    path = require(path, "python -m mt4ssl.bin.compile_graph makes it")
    remedy = "remove it, and stage 7 (mt4ssl.bin.compile_graph) makes it again"
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} holds more than tensors, which could run any code: {remedy}") from error
    except (RuntimeError, EOFError) as error:
        raise UserError(f"{path} is damaged: {remedy}") from error
    return k2.Fsa.from_dict({name: _with_k2(value) for name, value in content.items()}).to(device)


def _without_k2(value: Any) -> Any:
    """Turn a ragged tensor of two axes into the dict of its tensors."""
    if not isinstance(value, k2.RaggedTensor):
        return value
    return {"row_splits": value.shape.row_splits(1), "values": value.values}


def _with_k2(value: Any) -> Any:
    """Turn that dict into a ragged tensor."""
    if not isinstance(value, dict):
        return value
    return k2.RaggedTensor(k2.ragged.create_ragged_shape2(row_splits=value["row_splits"]), value["values"])


def load_g(path: str | Path) -> k2.Fsa:
    """Read G in OpenFst text, as kaldilm writes it: word ids on both sides, `#0` on back-off arcs."""
    path = require(path, "python -m mt4ssl.bin.train_lm makes it")
    return k2.Fsa.from_openfst(path.read_text(), acceptor=False)


def lexicon_graph(lexicon: Lexicon, tokens: dict[str, int], words: dict[str, int], self_loops: bool) -> k2.Fsa:
    """Return L: token ids in, word ids out, any sequence of words.

    With `self_loops` the state between words passes the `#0` of G's back-off arcs through.
    """
    arcs = [(0, 0, tokens[BACKOFF], words[BACKOFF])] if self_loops else []
    free = 1
    for word, spelling in lexicon:
        state, output = 0, words[word]
        for token in spelling[:-1]:
            arcs.append((state, free, tokens[token], output))
            state, output, free = free, 0, free + 1
        arcs.append((state, 0, tokens[spelling[-1]], output))
    arcs.append((0, free, -1, -1))
    lines = [f"{source} {target} {token} {word} 0" for source, target, token, word in sorted(arcs)]
    return k2.Fsa.from_str("\n".join([*lines, str(free)]), acceptor=False)


def read_l(lang_dir: Path) -> tuple[k2.Fsa, k2.Fsa]:
    """Return L and L_disambig of a lang dir."""
    tokens, words = read_symbols(lang_dir / "tokens.txt"), read_symbols(lang_dir / "words.txt")
    l_plain = lexicon_graph(read_lexicon(lang_dir / "lexicon.txt"), tokens, words, self_loops=False)
    l_disambig = lexicon_graph(read_lexicon(lang_dir / "lexicon_disambig.txt"), tokens, words, self_loops=True)
    return l_plain, l_disambig


def compile_hlg(l_disambig: k2.Fsa, g: k2.Fsa, token_backoff: int, word_backoff: int) -> k2.Fsa:
    """Return HLG = ctc_topo ∘ rmeps(det(L_disambig ∘ G)): token ids in, word ids out, G's log-probabilities.

    `token_backoff` and `word_backoff` are the ids of `#0`: they and all above are disambiguation symbols.
    The tokens of LG stay on the arcs as the attribute `tokens`. Source: icefall, local/compile_hlg.py.
    """
    lg = k2.compose(k2.arc_sort(l_disambig), k2.arc_sort(g))
    lg = k2.connect(k2.determinize(k2.connect(lg)))
    lg = k2.connect(k2.remove_epsilon(_without_disambiguation(lg, token_backoff, word_backoff)))
    lg.aux_labels = lg.aux_labels.remove_values_eq(0)
    ctc = k2.ctc_topo(token_backoff - 1, modified=False)
    return k2.arc_sort(k2.connect(k2.compose(ctc, k2.arc_sort(lg), inner_labels="tokens")))


def rescoring_g(g: k2.Fsa, word_backoff: int) -> k2.Fsa:
    """Return G to rescore with: an acceptor of word ids (FsaVec of one), back-off arcs as epsilons."""
    del g.aux_labels
    g.labels = torch.where(g.labels >= word_backoff, 0, g.labels).to(torch.int32)
    g.__dict__["_properties"] = None
    return k2.arc_sort(k2.create_fsa_vec([g]))


def _without_disambiguation(lg: k2.Fsa, token_backoff: int, word_backoff: int) -> k2.Fsa:
    """Turn the disambiguation symbols of LG into epsilons."""
    # Assigned, not edited in place: k2 1.23 refuses labels that were modified behind its back.
    lg.labels = torch.where(lg.labels >= token_backoff, 0, lg.labels).to(torch.int32)
    lg.__dict__["_properties"] = None  # k2 caches properties (arc-sorted, epsilon-free) of the old labels
    if isinstance(lg.aux_labels, k2.RaggedTensor):
        lg.aux_labels.values[lg.aux_labels.values >= word_backoff] = 0
    else:  # determinize leaves a linear tensor when nothing had to be merged
        lg.aux_labels = torch.where(lg.aux_labels >= word_backoff, 0, lg.aux_labels).to(torch.int32)
    return lg
