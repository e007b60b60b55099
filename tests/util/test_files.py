import os

import pytest

from segdistill.util import write_atomic


def test_folders_are_made_and_content_is_replaced(tmp_path):
    path = tmp_path / "a/b/c.txt"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert [item.name for item in path.parent.iterdir()] == ["c.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_content_and_leaves_nothing(tmp_path, monkeypatch, error):
    path = tmp_path / "c.txt"
    write_atomic(path, b"old")

    def fail(*names):
        raise error("the power fails")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(error):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["c.txt"]


def test_what_a_killed_write_left_is_replaced(tmp_path):
    (tmp_path / ".c.txt.tmp").write_bytes(b"half")
    write_atomic(tmp_path / "c.txt", b"whole")
    assert [item.name for item in tmp_path.iterdir()] == ["c.txt"]
