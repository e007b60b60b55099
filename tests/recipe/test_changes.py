from segdistill.recipe.changes import differences


def test_it_names_keys_and_both_values_and_not_more_than_a_few():
    there = {"train": {"iterations": 10}, "teacher": None, "same": 1}
    here = {"train": {"iterations": 20}, "teacher": {"weights": "x"}, "same": 1, "new": 2}
    assert differences(there, here) == (
        "`train.iterations` is 10 there and 20 here; `teacher` is null there and {'weights': 'x'} here; "
        "`new` is not given there and 2 here"
    )
    many = differences({str(key): 0 for key in range(8)}, {str(key): 1 for key in range(8)})
    assert many.endswith("`4` is 0 there and 1 here; and 3 more")
    assert len(differences({"text": "a" * 500}, {"text": "b"})) < 150
