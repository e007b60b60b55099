"""The teacher of a recipe."""

import pytest
from pydantic import ValidationError

from segdistill.recipe.networks import TeacherConfig


@pytest.mark.parametrize("classes", ["all", 3, [], {}, {"road": 7}, {"road": ["road", 7]}])
def test_classes_of_a_teacher_are_auto_none_or_names(classes):
    with pytest.raises(ValidationError) as failed:
        TeacherConfig(weights="run", classes=classes)
    (error,) = failed.value.errors()
    assert f"got {classes!r}." in error["msg"]
    assert "must be `auto` (equal names)" in error["msg"]


@pytest.mark.parametrize("classes", [None, "auto", "none", {"road": "way"}, {"road": ["way", "lane"]}])
def test_classes_of_a_teacher_that_are_understood(classes):
    assert TeacherConfig(weights="run", classes=classes).classes == classes
