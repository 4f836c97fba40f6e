"""Show that this interpreter's k2 works: decode random posteriors with a small graph, print the versions."""

from importlib.metadata import version

import k2
import torch

generator = torch.Generator().manual_seed(1)
log_probs = torch.randn(1, 20, 5, generator=generator).log_softmax(-1)  # (B, T, V)
segments = torch.tensor([[0, 0, 20]], dtype=torch.int32)  # utterance, first frame, frames
transcript = k2.linear_fsa([[1, 2, 3]])
graph = k2.arc_sort(k2.connect(k2.compose(k2.ctc_topo(4), transcript)))
lattice = k2.intersect_dense_pruned(
    graph,
    k2.DenseFsaVec(log_probs, segments),
    search_beam=20.0,
    output_beam=8.0,
    min_active_states=1,
    max_active_states=1000,
)
best = k2.shortest_path(lattice, use_double_scores=True)
assert [label for label in best.aux_labels.tolist() if label > 0] == [1, 2, 3], best.aux_labels
print(f"k2 {version('k2')} with torch {torch.__version__}")
