"""Work that goes on where a run was stopped, in processes that end with the one that started them."""

import os

import pytest
from orphans import check_ends_with_parent

from mt4ssl.data.parallel import cached_map, workers


def square(number):
    if number < 0:
        raise ValueError("stop")
    return number * number


def test_only_what_is_new_is_worked_on(tmp_path):
    cache = tmp_path / "new folder/cache.jsonl"
    assert cached_map(square, {"a": 2, "b": 3}, cache, 2, "squares") == {"a": 4, "b": 9}
    assert cached_map(square, {"a": 5, "c": 1}, cache, 1, "squares") == {"a": 4, "c": 1}  # the key says what is known


def test_a_stopped_run_goes_on(tmp_path):
    cache = tmp_path / "cache.jsonl"
    with pytest.raises(ValueError, match="stop"):
        cached_map(square, {"a": 2, "b": -1}, cache, 1, "squares")
    with cache.open("a") as file:
        file.write('\n["c", 1')  # a line that was being written
    assert cached_map(square, {"a": 7, "b": 3}, cache, 1, "squares") == {"a": 4, "b": 9}


def test_what_is_not_kept_is_tried_again(tmp_path):
    cache = tmp_path / "cache.jsonl"
    for value in (2, 3):
        assert cached_map(square, {"a": value}, cache, 1, "squares", keep=lambda result: False) == {"a": value**2}


def test_work_is_handed_out_only_as_it_is_needed():
    given = []

    def arguments():
        for number in range(40):
            given.append(number)
            yield (number,)

    with workers(2, "squares") as found:
        results = found.each(square, arguments())
        first = next(results)
        assert len(given) == 4  # two for each process
        assert sorted([first, *results]) == [number**2 for number in range(40)]


def test_processes_end_when_the_one_that_started_them_is_killed():
    def start(tell):
        with workers(1, "ids") as found:
            tell(found.pool.submit(os.getpid).result())

    check_ends_with_parent(start)
