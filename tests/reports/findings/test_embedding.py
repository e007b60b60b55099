import subprocess
import sys
import time

import numpy as np
import pytest

from segdistill.reports.findings.embedding import distances, self_similarity, tsne


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.fixture(scope="module")
def clumps():
    """Six hundred pixels of six classes, far from each other in 128 dimensions."""
    classes = np.arange(600) % 6
    return 10 * draw(6, 128)[classes] + draw(600, 128, seed=1), classes


def test_cells_of_one_class_lie_together(clumps):
    features, classes = clumps
    places = tsne(features)
    assert places.shape == (600, 2)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (classes[apart.argmin(axis=1)] == classes).mean() > 0.99


def test_a_map_is_quick_and_the_same_every_time(clumps):
    start = time.perf_counter()
    first = tsne(clumps[0])
    assert time.perf_counter() - start < 5
    assert np.array_equal(first, tsne(clumps[0]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_huge_and_tiny_features_do_not_overflow(dtype):
    for scale in (6e4, 6e-5):
        features = (scale * np.tanh(draw(40, 8))).astype(dtype)
        assert np.isfinite(tsne(features)).all()


def test_cells_that_are_not_finite_have_no_place():
    features = draw(50, 8)
    features[3, 1], features[7, 0] = np.nan, np.inf
    places = tsne(features)
    assert np.isnan(places[[3, 7]]).all()
    assert np.isfinite(np.delete(places, [3, 7], axis=0)).all()
    assert np.array_equal(np.delete(places, [3, 7], axis=0), tsne(np.delete(features, [3, 7], axis=0)))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_few_pixels(count):
    places = tsne(draw(count, 5))
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()


def test_constant_features_fall_on_one_point():
    assert not tsne(np.full((30, 4), 3.7, np.float16)).any()
    assert np.isnan(tsne(np.full((5, 4), np.nan))).all()


def test_a_linear_map_of_the_students_is_no_distance():
    """A teacher of another width whose pixels are a map of the student's plus a constant."""
    student, images = draw(256, 6), np.arange(256) // 16
    error = distances(student, student @ draw(6, 20, seed=1) + 5, images)
    assert error.shape == (128,)
    assert error.max() < 1e-4


def test_a_student_that_tells_nothing_is_at_one():
    teacher, images = draw(320, 5, seed=1), np.arange(320) // 10
    assert distances(np.ones((320, 3)), teacher, images).mean() == pytest.approx(1)
    assert distances(draw(320, 3), teacher, images).mean() == pytest.approx(1, abs=0.05)
    assert distances(draw(320, 300), teacher, images).mean() < 1.1, "a wide student is not punished for its width"


def test_the_distance_grows_with_the_noise():
    teacher, images = draw(320, 8), np.arange(320) // 10
    means = [distances(teacher + s * draw(320, 8, seed=1), teacher, images).mean() for s in (0.1, 0.5, 1.0, 3.0)]
    assert means == sorted(means)
    assert means[2] == pytest.approx(0.5, abs=0.1)  # signal and noise of one variance: half is explained


def test_distances_do_not_depend_on_units_or_offsets():
    teacher, student, images = draw(320, 8), draw(320, 4) ** 2, np.arange(320) // 10
    teacher[:, :4] += student
    plain = distances(student, teacher, images)
    assert np.allclose(plain, distances(1000 * student - 70, 0.01 * teacher + 3, images))


def test_distances_are_measured_on_images_that_were_not_fitted():
    """Rewriting the pixels of every second image leaves the map; rewriting the others' changes it."""
    teacher, images = draw(64, 3), np.arange(64) // 8
    student = teacher + 0.3 * draw(64, 3, seed=1)
    plain = distances(student, teacher, images)
    held = images % 2 == 1
    other = student.copy()
    other[np.flatnonzero(held)[0]] += 100
    assert np.allclose(distances(other, teacher, images)[1:], plain[1:])
    other = student.copy()
    other[np.flatnonzero(~held)] = draw(32, 3, seed=2)
    assert not np.isclose(distances(other, teacher, images), plain).any()


def test_cells_that_are_not_finite_move_no_other_image_to_the_other_half():
    teacher, images = draw(64, 3), np.arange(64) // 8
    student = teacher + 0.3 * draw(64, 3, seed=1)
    broken = student.copy()
    broken[images == 1] = np.nan
    ratios = distances(broken, teacher, images) / distances(student, teacher, images)[8:]
    assert np.allclose(ratios, ratios[0]), "all are divided by the mean over the pixels that are left"


def test_one_image_is_halved():
    teacher = draw(40, 3)
    assert len(distances(teacher, teacher, np.zeros(40, int))) == 20


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        (draw(64, 3), np.ones((64, 3))),  # every prediction is right
        (np.full((64, 3), np.nan), draw(64, 3)),
        (draw(64, 3), np.full((64, 3), np.inf)),
        (draw(1, 3), draw(1, 3)),
        (draw(0, 3), draw(0, 3)),
    ],
)
def test_no_distance_where_there_is_nothing_to_measure(student, teacher):
    assert distances(student, teacher, np.arange(len(student)) // 8) is None


def test_distances_need_the_same_pixels():
    with pytest.raises(ValueError, match="`student`, `teacher` and `images` must have one length; got 4, 5 and 4"):
        distances(draw(4, 2), draw(5, 2), np.arange(4))


def test_self_similarity_is_that_of_a_slow_loop():
    features, images = draw(30, 4), np.random.default_rng(1).integers(0, 5, 30)
    slow = [
        float(features[i] @ features[j] / np.linalg.norm(features[i]) / np.linalg.norm(features[j]))
        for image in range(5)
        for i in range(30)
        for j in range(i + 1, 30)
        if images[i] == images[j] == image
    ]
    found = self_similarity(features, images)
    assert np.allclose(found, slow)
    assert found.min() >= -1
    assert found.max() <= 1


def test_pairs_of_different_images_do_not_count():
    assert self_similarity(draw(5, 3), np.arange(5)) is None
    assert len(self_similarity(draw(6, 3), np.array([0, 0, 0, 1, 1, 2]))) == 3 + 1


def test_cells_without_a_direction_do_not_count():
    features = draw(6, 3)
    features[0], features[1, 0], features[2, 0] = 0, np.nan, np.inf
    assert len(self_similarity(features, np.zeros(6, int))) == 3
    assert self_similarity(np.zeros((6, 3)), np.zeros(6, int)) is None


def test_alike_cells_have_similarity_one_whatever_their_length():
    pixels = np.outer([1e-3, 1, 3e4], [1, 1, 2]).astype(np.float16)
    assert self_similarity(pixels, np.zeros(3, int)) == pytest.approx(1)


def test_scikit_learn_is_imported_where_it_is_needed_alone():
    code = "import sys, segdistill.reports; print(any(name.startswith(('sklearn', 'torch')) for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
