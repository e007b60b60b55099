import math
import os.path
import subprocess
import sys

import pytest

from segdistill.util import lazy


def test_a_name_comes_from_its_home_and_a_module_is_itself():
    load = lazy("os", {"sqrt": "math", "path": "os.path"})
    assert load("sqrt") is math.sqrt
    assert load("path") is os.path


def test_an_unknown_name_is_an_attribute_error_like_pythons():
    with pytest.raises(AttributeError, match=r"^module 'a\.b' has no attribute 'c'$"):
        lazy("a.b", {"d": "math"})("c")


def test_nothing_is_imported_before_it_is_asked_for():
    code = (
        "import sys; from segdistill.util import lazy; load = lazy('x', {'Fraction': 'fractions'});"
        "assert 'fractions' not in sys.modules; load('Fraction'); assert 'fractions' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_errors_names_and_words_need_the_standard_library_alone():
    code = "import sys, segdistill.util; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"numpy", "torch", "filelock", "scipy"}.isdisjoint(loaded)
