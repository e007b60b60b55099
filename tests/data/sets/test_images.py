import pytest
from tests.data.contract import FileContract
from tests.data.fakes import make_images, write_image

from segdistill.data import Images
from segdistill.util import DataError, DatasetNotFoundError


class TestImages(FileContract):
    kind, make = Images, staticmethod(make_images)
    num_classes, num_ids = 2, 2
    counts = {"train": 2, "unlabelled": 2}
    missing = "matches none"

    def build(self, root, split):
        return Images(root, split, classes=["x", "y"])

    def test_no_pixel_counts(self, root, split):
        dataset = self.build(root, split)
        assert all((dataset.load(index)[1] == 255).all() for index in range(2))
        assert [mask for _, mask in dataset.samples] == [None, None]


def test_a_folder_a_file_and_a_pattern(tmp_path):
    make_images(tmp_path)
    write_image(tmp_path / "deep/c.jpg")
    assert [path.name for path, _ in Images(tmp_path).samples] == ["a.png", "b.jpg"]
    assert [path.name for path, _ in Images(tmp_path / "b.jpg").samples] == ["b.jpg"]
    assert [path.name for path, _ in Images(tmp_path / "**" / "*.jpg").samples] == ["b.jpg", "c.jpg"]
    with pytest.raises(DatasetNotFoundError, match="matches none"):
        Images(tmp_path / "*.bmp")


def test_a_list_names_files_of_its_own_folder_or_of_another(tmp_path):
    make_images(tmp_path / "photos")
    (tmp_path / "all.txt").write_text("photos/b\nphotos/a.png\n")
    (tmp_path / "one.txt").write_text("\ufeffb\n\n", encoding="utf-8")
    assert [path.name for path, _ in Images(tmp_path / "all.txt").samples] == ["b.jpg", "a.png"]
    assert [path.name for path, _ in Images(tmp_path / "one.txt", images=tmp_path / "photos").samples] == ["b.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photos/a\nphotos/z\n", "lists 1 images that `.*` does not hold: photos/z"),
        ("z\n", "lists 1 images, of which `.*` holds none; the first is z"),
        ("../photos/a\n", "must list names below"),
        ("", "lists no names"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path, text, message):
    make_images(tmp_path / "photos")
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        Images(tmp_path / "list.txt")
