"""Files are whole or absent."""

import pytest

from mt4ssl.errors import UserError, run_main
from mt4ssl.files import atomic_path, require


def test_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "sub dir" / "a.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_directories_are_replaced(tmp_path):
    for name in ("first", "second"):
        with atomic_path(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["second"]


def test_what_a_killed_process_of_the_same_number_left_is_not_taken(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "folder") as unfinished:
        raise RuntimeError
    unfinished.mkdir()
    (unfinished / "half").touch()
    with atomic_path(tmp_path / "folder") as temporary:
        assert temporary == unfinished
        temporary.mkdir()
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    full = pytest.raises(UserError, match=r"a.txt cannot be written \(No space left on device\)")
    with full, atomic_path(path), open("/dev/full", "w") as file:
        file.write("new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and path.read_text() == "old"


def test_a_full_disk_ends_a_verb_in_one_line():
    def main():
        with open("/dev/full", "w") as file:
            file.write("new")

    with pytest.raises(SystemExit, match=r"^error: a file: No space left on device: make room; then run the same"):
        run_main(main)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing is missing: made by stage 3"):
        require(tmp_path / "nothing", "made by stage 3")
