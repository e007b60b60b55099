"""Shares and groups; `sets/test_folder_layouts.py` has the lists."""

import pytest

from segdistill.data.splits import _WILD, _group_of, check_shares, drawn, read_list

SHARES = {"val": 0.2, "test": 0.1}
NAMES = [f"p{index // 10:02d}_{index % 10}" for index in range(2000)]


def parts(names, *, seed=0, group=None):
    return {split: drawn(names, split, SHARES, seed=seed, group=group) for split in ("train", "val", "test")}


def test_each_name_is_in_one_split_and_shares_are_about_kept():
    found = parts(NAMES)
    assert sorted(name for part in found.values() for name in part) == sorted(NAMES)
    assert [round(len(part) / 2000, 1) for part in found.values()] == [0.7, 0.2, 0.1]


def test_added_files_move_no_other():
    before, after = parts(NAMES[::2]), parts(NAMES)
    for split, names in before.items():
        assert set(names) <= set(after[split])


def test_the_seed_draws_anew_and_the_same_again():
    assert parts(NAMES, seed=1) == parts(NAMES, seed=1) != parts(NAMES)


@pytest.mark.parametrize("group", ["{group}_*", "p{group}_*", "*p{group}_*"])
def test_a_group_is_in_one_split(group):
    found = parts(NAMES, group=group)
    patients = {split: {name.split("_")[0] for name in names} for split, names in found.items()}
    assert sum(map(len, patients.values())) == 200
    assert all(len(names) == 10 * len(patients[split]) for split, names in found.items())


def test_the_group_is_as_short_as_can_be():
    names = [f"drive/{name}/left_{index}" for name in "abcdefgh" for index in range(3)]
    found = parts(names, group="drive/{group}/*")
    assert sum(len({name.split("/")[1] for name in part}) for part in found.values()) == 8


def test_a_pattern_takes_no_time():
    names = ["a" * 100_000 + "!"]
    with pytest.raises(ValueError, match="does not fit 1"):
        drawn(names, "val", SHARES, seed=0, group="*a" * 1000 + "{group}a*b")


@pytest.mark.parametrize(
    ("pattern", "name", "part"),
    [
        ("{group}", "abc", "abc"),
        ("{group}_*", "a_b_c", "a"),
        ("*_{group}", "a_b_c", "b_c"),
        ("*_{group}_*", "a_b_c", "b"),
        ("{group}_x", "a_x_x", "a_x"),
        ("{group}_*", "_a_b", "_a"),
        ("s{group}.*.t", "s1.2.t", "1"),
        ("s{group}.*.t", "s1.t", None),
        ("s{group}t", "st", None),
        ("x*", "y", None),
    ],
)
def test_wild_cards_take_as_little_as_they_can(pattern, name, part):
    assert _group_of(name, _WILD.split(pattern)) == part


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("*_*", "once"),
        ("{group}_{group}", "once"),
        ("*{group}_", "between"),
        ("{group}*", "between"),
        ("{group}-*", r"does not fit 2000: `p00_0`, "),
    ],
)
def test_bad_groups(group, said):
    with pytest.raises(ValueError, match=said):
        drawn(NAMES, "val", SHARES, seed=0, group=group)


@pytest.mark.parametrize(
    ("shares", "split", "said"),
    [
        (0.2, "val", r"parts of 1 by split, such as \{val: 0\.2, test: 0\.1\}; got 0\.2"),
        ({}, "val", "parts of 1"),
        ({"val": 20}, "val", "parts of 1"),
        ({"val": "x"}, "val", "parts of 1"),
        ({"val": 0.6, "test": 0.4}, "val", "leave the rest to `train`"),
        ({"train": 0.8}, "train", "leave the rest to `train`"),
        ({"val": 0.2}, "test", "one of train, val, as `shares` says; got 'test'"),
    ],
)
def test_bad_shares(shares, split, said):
    with pytest.raises(ValueError, match=said):
        check_shares(shares, split)


def test_a_split_that_got_nothing():
    with pytest.raises(ValueError, match=r"of 1 images none fell there\. Choose another `split_seed`, which is 0"):
        parts(["a"])


def test_entries(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a\nb c\nd\te\n")
    assert [tuple(entry) for entry in read_list(path)] == [("a", None), ("b c", None), ("d", "e")]
