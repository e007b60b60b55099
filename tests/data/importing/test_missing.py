"""Without Datumaro."""

import sys

import pytest

from segdistill.data import import_data
from segdistill.util import UnavailableError


def test_without_datumaro_a_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "datumaro"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "datumaro", None)
    with pytest.raises(UnavailableError, match=r"`import` needs Datumaro, .* pip install segdistill\[import\]\.$"):
        import_data(tmp_path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
