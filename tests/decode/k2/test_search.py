"""Graphs and search against brute force: all word sequences, CTC paths and ways through a back-off LM."""

import itertools
import math

import k2
import pytest
import torch

from mt4ssl.decode.graph import compile_hlg, lexicon_graph, load_graph, rescoring_g, save_graph
from mt4ssl.decode.search import Beam, best_scores, best_words, get_lattice, prune, rescore, reweighted, scaled
from mt4ssl.decode.weights import Weights
from mt4ssl.errors import UserError
from mt4ssl.lang.lexicon import add_disambiguation

LEXICON = [("A", ["▁", "A"]), ("AB", ["▁", "A", "B"]), ("B", ["▁", "B"]), ("BEE", ["▁", "B"])]
TOKENS = {"<blk>": 0, "▁": 1, "A": 2, "B": 3, "#0": 4, "#1": 5, "#2": 6}
WORDS = {"<eps>": 0, "<UNK>": 1, "A": 2, "AB": 3, "B": 4, "BEE": 5, "#0": 6, "<s>": 7, "</s>": 8}
NAMES = list(WORDS)
EXACT = Beam(1e4, 1e4, 0, 10**6)

# A back-off LM: {history: ({word: log p, None: log p of the end}, log back-off weight)}.
TRIGRAM = {
    ("<s>",): ({"A": -0.5, "BEE": -2.5, None: -4.0}, -0.2),
    ("A",): ({"AB": -0.4, None: -1.0}, -0.9),
    ("AB",): ({"A": -1.5}, -0.3),
    ("A", "AB"): ({"B": -0.1}, -0.7),
    ("<s>", "A"): ({"BEE": -0.3}, -0.6),
    (): ({"A": -1.6, "AB": -1.9, "B": -1.4, "BEE": -1.5, None: -1.8}, -math.inf),
}
BIGRAM = {
    ("<s>",): ({"B": -0.3, None: -6.0}, -1.0),
    ("B",): ({"B": -0.7, None: -0.5}, -0.6),
    (): ({"A": -1.2, "AB": -1.1, "B": -2.0, "BEE": -1.4, None: -1.0}, -math.inf),
}


def next_history(lm, history):
    while history not in lm:
        history = history[1:]
    return history


def lm_score(lm, words, history=("<s>",)):
    """Best log-probability of `words`, back-off allowed everywhere, as in a graph."""
    probs, backoff = lm[history]
    first, rest = (words[0], words[1:]) if words else (None, None)
    score = -math.inf
    if first in probs:
        score = probs[first] + (lm_score(lm, rest, next_history(lm, (*history, first))) if words else 0)
    return max(score, backoff + lm_score(lm, words, history[1:])) if history else score


def openfst(lm):
    """The LM as kaldilm writes G: start at ("<s>",), `#0` on back-off arcs, costs."""
    states = {history: number for number, history in enumerate(lm)}
    lines = []
    for history, (probs, backoff) in lm.items():
        for word, p in probs.items():
            if word is not None:
                target = states[next_history(lm, (*history, word))]
                lines.append(f"{states[history]} {target} {WORDS[word]} {WORDS[word]} {-p}")
        if history:
            lines.append(f"{states[history]} {states[history[1:]]} {WORDS['#0']} 0 {-backoff}")
    lines += [f"{states[history]} {-probs[None]}" for history, (probs, _) in lm.items() if None in probs]
    return "\n".join(lines)


def graph_of(lm):
    return k2.Fsa.from_openfst(openfst(lm), acceptor=False)


def hlg_of(lm, lexicon=LEXICON):
    marked, _ = add_disambiguation(lexicon)
    return compile_hlg(lexicon_graph(marked, TOKENS, WORDS, self_loops=True), graph_of(lm), TOKENS["#0"], WORDS["#0"])


def acoustic_scores(log_probs):
    """{token ids: log-probability of its best CTC path} over all V^T paths."""
    best = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        tokens = tuple(token for token, _ in itertools.groupby(path) if token)
        score = sum(float(row[token]) for row, token in zip(log_probs, path))
        best[tokens] = max(best.get(tokens, -math.inf), score)
    return best


def brute_force(log_probs, lm, lm_scale, word_score=0.0, lexicon=LEXICON):
    """(score, words) of the best word sequence, whatever the pronunciation of each of its words."""
    acoustic = acoustic_scores(log_probs)
    entries = [(word, tuple(TOKENS[token] for token in tokens)) for word, tokens in lexicon]
    results = []
    for length in range(len(log_probs) // min(len(tokens) for _, tokens in entries) + 1):
        for sequence in itertools.product(entries, repeat=length):
            words, tokens = [word for word, _ in sequence], sum((tokens for _, tokens in sequence), ())
            if tokens in acoustic:
                score = acoustic[tokens] + lm_scale * lm_score(lm, tuple(words)) + word_score * length
                results.append((score, words))
    return max(results, key=lambda result: result[0])


def random_log_probs(seed, frames):
    torch.manual_seed(seed)
    return torch.randn(frames, 4).mul(2).log_softmax(1)


def lattice_of(log_probs, lm, lm_scale):
    return get_lattice(log_probs[None], torch.tensor([len(log_probs)]), scaled(hlg_of(lm), lm_scale), EXACT)


@pytest.mark.parametrize("lm", [TRIGRAM, BIGRAM])
@pytest.mark.parametrize("lm_scale", [0.3, 1.0, 2.5])
def test_one_best_is_the_best_of_all(lm, lm_scale):
    for seed in range(4):
        log_probs = random_log_probs(seed, 6)
        lattice = lattice_of(log_probs, lm, lm_scale)
        score, words = brute_force(log_probs, lm, lm_scale)
        assert best_words(lattice, NAMES) == [words]
        assert best_scores(lattice).item() == pytest.approx(score, abs=1e-4)
        assert best_words(prune(lattice), NAMES) == [words]


def test_several_pronunciations_of_a_word():
    """Phones: words said in several ways, two of which are said alike, and one of which begins another."""
    lexicon = [("A", ["▁"]), ("A", ["A"]), ("AB", ["A", "B"]), ("B", ["B"]), ("B", ["B", "▁"]), ("BEE", ["B"])]
    chosen = set()
    for seed, lm_scale in itertools.product(range(4), (0.2, 1.0)):
        log_probs = random_log_probs(seed, 5)
        graph = scaled(hlg_of(TRIGRAM, lexicon), lm_scale)
        lattice = get_lattice(log_probs[None], torch.tensor([5]), graph, EXACT)
        score, words = brute_force(log_probs, TRIGRAM, lm_scale, lexicon=lexicon)
        assert best_words(lattice, NAMES) == [words]
        assert best_scores(lattice).item() == pytest.approx(score, abs=1e-4)
        chosen.update(words)
    assert {"A", "AB", "B"} <= chosen


@pytest.mark.parametrize("word_score", [-1.5, 0.0, 2.0])
def test_a_lattice_reweighted_is_the_lattice_of_those_weights(word_score):
    log_probs = random_log_probs(0, 6)
    lattice = reweighted(lattice_of(log_probs, TRIGRAM, 0.6), 0.6, Weights(2.0, word_score))
    score, words = brute_force(log_probs, TRIGRAM, 2.0, word_score)
    assert best_words(lattice, NAMES) == [words] and best_scores(lattice).item() == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("lm_scale,word_score", [(0.5, 0.0), (1.0, 1.0), (2.0, -0.5)])
@pytest.mark.parametrize("first,second", [(BIGRAM, TRIGRAM), (TRIGRAM, BIGRAM), (TRIGRAM, TRIGRAM)])
def test_rescoring_gives_the_best_under_the_second_lm(first, second, lm_scale, word_score):
    # Four frames for two words leave few epsilons in the lattice: back-off arcs must not need them.
    for seed, frames in itertools.product(range(3), (4, 6)):
        log_probs = random_log_probs(seed, frames)
        lattice = rescore(lattice_of(log_probs, first, 0.6), 0.6, rescoring_g(graph_of(second), WORDS["#0"]))
        lattice = reweighted(lattice, 1.0, Weights(lm_scale, word_score))
        score, words = brute_force(log_probs, second, lm_scale, word_score)
        assert best_scores(lattice).item() == pytest.approx(score, abs=1e-4)
        assert best_words(lattice, NAMES) == [words]


def test_a_padded_batch_gives_what_each_gives_alone():
    parts = [random_log_probs(seed, frames) for seed, frames in enumerate((6, 5, 3))]
    padded = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
    lattice = get_lattice(padded, torch.tensor([6, 5, 3]), scaled(hlg_of(TRIGRAM), 1.0), EXACT)
    alone = [best_scores(lattice_of(part, TRIGRAM, 1.0)).item() for part in parts]
    assert best_scores(lattice).tolist() == pytest.approx(alone, abs=1e-4)


def test_no_path_is_none_and_silence_is_no_words():
    log_probs = random_log_probs(0, 1)
    assert best_words(lattice_of(log_probs, TRIGRAM, 1.0), NAMES) == [[]]
    never_silent = {
        history: ({w: p for w, p in probs.items() if w or history not in [("<s>",), ()]}, bow)
        for history, (probs, bow) in TRIGRAM.items()
    }
    lattice = lattice_of(log_probs, never_silent, 1.0)
    assert best_words(lattice, NAMES) == [None] and best_words(prune(lattice), NAMES) == [None]
    g = rescoring_g(graph_of(BIGRAM), WORDS["#0"])
    assert best_words(rescore(lattice, 1.0, g), NAMES) == [None]

    long_and_short = torch.stack([random_log_probs(0, 6), random_log_probs(1, 6)])
    lattice = get_lattice(long_and_short, torch.tensor([6, 1]), scaled(hlg_of(never_silent), 1.0), EXACT)
    assert best_words(lattice, NAMES)[0] and best_words(lattice, NAMES)[1] is None
    assert best_words(rescore(lattice, 1.0, g), NAMES)[0] and best_words(rescore(lattice, 1.0, g), NAMES)[1] is None


def test_a_linear_determinised_lg_compiles():
    """determinize leaves aux_labels linear when there is nothing to merge; icefall's assertion fails."""
    g = k2.Fsa.from_openfst(f"0 1 {WORDS['A']} {WORDS['A']} 0\n1 0", acceptor=False)
    hlg = compile_hlg(lexicon_graph([LEXICON[0]], TOKENS, WORDS, True), g, TOKENS["#0"], WORDS["#0"])
    log_probs = random_log_probs(1, 4)
    lattice = get_lattice(log_probs[None], torch.tensor([4]), scaled(hlg, 1.0), EXACT)
    assert best_words(lattice, NAMES) == [["A"]]


def test_a_lattice_is_pruned_to_the_size_asked_for():
    log_probs = random_log_probs(3, 6)
    lattice = lattice_of(log_probs, TRIGRAM, 1.0)
    assert prune(lattice).num_arcs > 100 >= prune(lattice, 100).num_arcs
    assert best_words(prune(lattice, 100), NAMES) == best_words(lattice, NAMES)


def test_graphs_survive_the_disk(tmp_path):
    hlg = hlg_of(TRIGRAM)
    save_graph(hlg, tmp_path / "HLG.pt")
    again = load_graph(tmp_path / "HLG.pt")
    assert str(again) == str(hlg) and again.aux_labels.tolist() == hlg.aux_labels.tolist()


def test_a_graph_is_tensors_and_nothing_else(tmp_path):
    save_graph(hlg_of(TRIGRAM), tmp_path / "HLG.pt")
    content = torch.load(tmp_path / "HLG.pt", weights_only=True)
    assert content["aux_labels"].keys() == {"row_splits", "values"}


class Attack:
    """Something that makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_graph_cannot_run_code(tmp_path):
    graph = hlg_of(TRIGRAM).as_dict()
    for stranger in (Attack(tmp_path / "ran"), graph["aux_labels"]):  # ragged, as icefall writes it
        torch.save({**graph, "aux_labels": stranger}, tmp_path / "HLG.pt")
        with pytest.raises(UserError, match=r"HLG.pt holds more than tensors.*remove it, and stage 7"):
            load_graph(tmp_path / "HLG.pt")
    assert not (tmp_path / "ran").exists()


def test_icefall_s_graphs_of_tensors_are_read(tmp_path):
    g = rescoring_g(graph_of(TRIGRAM), WORDS["#0"])
    torch.save(g.as_dict(), tmp_path / "G_4_gram.pt")
    assert str(load_graph(tmp_path / "G_4_gram.pt")) == str(g)


@pytest.mark.parametrize("size", [0, 1000])
def test_a_damaged_graph_is_one_line(tmp_path, size):
    save_graph(hlg_of(TRIGRAM), tmp_path / "HLG.pt")
    (tmp_path / "HLG.pt").write_bytes((tmp_path / "HLG.pt").read_bytes()[:size])
    with pytest.raises(UserError, match="HLG.pt is damaged"):
        load_graph(tmp_path / "HLG.pt")
