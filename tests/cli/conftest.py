"""The command line, called as a shell does."""

import logging
import sys

import pytest

from segdistill.cli import app as cli


@pytest.fixture
def segdistill_(monkeypatch, capsys):
    """Call the command line as a shell does: exit code, stdout, stderr."""
    root, package = logging.getLogger(), logging.getLogger("segdistill")
    before = root.handlers[:], root.level, package.level

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["segdistill", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return left.value.code or 0, printed.out, printed.err

    yield call
    root.handlers[:], root.level, package.level = before


@pytest.fixture
def ok(segdistill_):
    """Call the command line, which must succeed, and return what it prints."""

    def call(*arguments):
        code, out, err = segdistill_(*arguments)
        assert code == 0, err
        return out

    return call
