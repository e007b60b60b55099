import pytest
from tests.store.fakes import make_comparison

from segdistill.reports import summarise


@pytest.fixture(scope="session")
def rows(tmp_path_factory):
    """The rows of a comparison of four methods at two seeds."""
    return summarise(make_comparison(tmp_path_factory.mktemp("comparison"), seeds=2, pictures=0))
