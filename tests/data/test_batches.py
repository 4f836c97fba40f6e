"""The batch plan: complete, balanced, and a function of (seed, number) alone."""

import numpy as np
import pytest

from mt4ssl.data.batches import BatchPlan, micro_batches

DURATIONS = np.random.default_rng(0).uniform(1, 16, 700)


@pytest.mark.parametrize("epoch", [0, 3])
def test_every_cut_comes_once_in_every_epoch(epoch):
    plan = BatchPlan(DURATIONS, 60, seed=1)
    first = epoch * plan.batches_per_epoch
    seen = np.concatenate([plan[first + number] for number in range(plan.batches_per_epoch)])
    assert sorted(seen) == list(range(700))
    assert sorted(np.concatenate(plan.in_order())) == list(range(700))


def test_batches_are_alike_in_seconds_and_in_duration():
    plan = BatchPlan(DURATIONS, 60, seed=1)
    batches = [DURATIONS[plan[number]] for number in range(plan.batches_per_epoch)]
    assert all(abs(batch.sum() - 60) <= 16 for batch in batches)
    padded = sum(batch.max() * len(batch) for batch in batches)
    assert padded < 1.05 * DURATIONS.sum()


@pytest.mark.parametrize("seed", range(20))
def test_no_batch_is_empty(seed):
    durations = np.random.default_rng(seed).lognormal(1, 1, 30)
    plan = BatchPlan(durations, 5, seed)
    assert all(len(plan[number]) for number in range(plan.batches_per_epoch))


@pytest.mark.parametrize(
    "durations, batch_seconds", [([*np.linspace(2, 16, 29), 90], 20), ([10] * 200 + [300], 200), ([30, 40, 50], 20)]
)
def test_only_a_long_cut_makes_its_batch_long(durations, batch_seconds):
    """One of 90 s made all batches of 29 cuts of at most 16 s that long, and one of 300 s those of 200 cuts of 10 s."""
    plan = BatchPlan(durations, batch_seconds, seed=1)
    for batches in ([plan[number] for number in range(plan.batches_per_epoch)], plan.in_order()):
        assert sorted(np.concatenate(batches)) == list(range(len(durations)))
        for batch in batches:
            seconds = plan.durations[batch]
            assert len(batch) == 1 or ((seconds <= batch_seconds).all() and seconds.sum() <= 2 * batch_seconds)
    assert [len(batch) for batch in plan.in_order() if plan.durations[batch].max() > batch_seconds] == [1] * sum(
        duration > batch_seconds for duration in durations
    )


def test_order_of_asking_does_not_matter():
    forwards, backwards = BatchPlan(DURATIONS, 60, seed=1), BatchPlan(DURATIONS, 60, seed=1)
    expected = [forwards[n].tolist() for n in range(300)]
    assert [backwards[n].tolist() for n in reversed(range(300))] == expected[::-1]


def test_epochs_and_seeds_differ():
    plan, other = BatchPlan(DURATIONS, 60, seed=1), BatchPlan(DURATIONS, 60, seed=2)
    assert plan[0].tolist() != plan[plan.batches_per_epoch].tolist()
    assert plan[0].tolist() != other[0].tolist()


def test_a_single_cut_makes_a_plan():
    plan = BatchPlan([100.0], 60, seed=0)
    assert plan[0].tolist() == plan[5].tolist() == [0]


def test_micro_batches():
    assert micro_batches(3800, 240) == (16, 237.5)
    assert micro_batches(30, 60) == (1, 30)
