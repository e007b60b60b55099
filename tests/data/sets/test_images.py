import pytest
from tests.data.contract import FileContract
from tests.data.fakes import make_images, write_image

from segdistill.data import Images
from segdistill.util import DatasetNotFoundError


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
