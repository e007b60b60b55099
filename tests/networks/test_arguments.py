import pytest

from segdistill.networks.arguments import check_options, feeding_options, require, split_feeding
from segdistill.types import Preprocessing
from segdistill.util import ArgumentError, UnavailableError


def test_unknown_options_name_the_nearest():
    check_options({"aux": 1}, ["aux"], "the zoo")
    with pytest.raises(ArgumentError, match=r"`options.axu` is not an option of the zoo. Nearest names: aux"):
        check_options({"axu": 1}, ["aux"], "the zoo")


def test_feeding_is_split_from_the_other_options():
    fed, rest = split_feeding({"mean": [0.1, 0.2, 0.3, 0.4], "std": [1, 1, 1, 1], "depth": 3})
    assert fed == Preprocessing(mean=(0.1, 0.2, 0.3, 0.4), std=(1.0,) * 4)
    assert rest == {"depth": 3}
    assert split_feeding(feeding_options(fed))[0] == fed


def test_what_is_not_said_comes_from_the_default():
    default = Preprocessing(mean=(0.5,), std=(0.25,), multiple=32)
    assert split_feeding({}, default) == (default, {})
    assert split_feeding({"mean": [0.1]}, default)[0] == default._replace(mean=(0.1,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": [0.5, 0.5]}, "one number for each channel; got 2 and 3"),
        ({"mean": "grey"}, "`mean` must be a list of numbers"),
        ({"std": [1, 1, 0]}, "`std` positive"),
        ({"mean": [], "std": []}, "`mean` must be finite numbers"),
        ({"mean": [0.5] * 4, "std": [1] * 4, "bgr": True}, "`bgr` must be left out for images of 4 channels"),
    ],
)
def test_wrong_feeding_is_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        split_feeding(options)


def test_a_missing_library_says_how_to_install_it():
    assert require("json", needed_by="x", extra="y").__name__ == "json"
    with pytest.raises(UnavailableError, match=r'needs the library no_such_thing .* pip install "segdistill\[smp\]"'):
        require("no_such_thing", needed_by="the source `smp`", extra="smp")
