"""Files are whole or absent."""

import pytest

from mt4ssl.errors import UserError
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


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nothing is missing: made by stage 3"):
        require(tmp_path / "nothing", "made by stage 3")
