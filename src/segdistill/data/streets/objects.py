"""The things that stand in a procedural street; each function draws one, its place given in metres."""

from collections.abc import Sequence

import numpy as np

from segdistill.data.streets.canvas import (
    BUILDING,
    CAR,
    PERSON,
    POLE,
    ROAD,
    SIGN,
    VEGETATION,
    VOID,
    Canvas,
    Look,
    Point,
    between,
    dim,
    tint,
)
from segdistill.labels import Color

# Colours overlap on purpose: grey walls, road, pavement and cars; green cars, walls and leaves.
FACADES = ((128, 124, 120), (104, 102, 104), (150, 138, 118), (132, 92, 78), (166, 158, 146), (112, 122, 104))
LEAVES = ((62, 88, 44), (80, 98, 54), (48, 70, 46), (104, 98, 56), (92, 84, 68))
PAINTS = (
    (36, 38, 42),
    (120, 122, 124),
    (196, 198, 200),
    (128, 34, 36),
    (40, 58, 100),
    (58, 82, 54),
    (160, 150, 128),
)
CLOTHES = (
    (40, 40, 46),
    (108, 104, 100),
    (132, 48, 44),
    (52, 66, 110),
    (66, 84, 56),
    (190, 186, 178),
    (150, 120, 80),
)
BOARDS = ((186, 36, 38), (36, 74, 156), (214, 180, 54), (212, 212, 206), (44, 116, 74), (150, 110, 70))


def pick(rng: np.random.Generator, colors: Sequence[Color]) -> Color:
    """One of several colours."""
    return colors[int(rng.integers(len(colors)))]


def building(
    canvas: Canvas, rng: np.random.Generator, side: int, x: float, z: tuple[float, float], light: float
) -> None:
    """A house on one side of the street (``side`` is -1 or 1) from depth ``z[0]`` to ``z[1]``."""
    height = between(rng, 4.5, 17.0)
    wall = dim(tint(rng, pick(rng, FACADES), 16), light)
    glass = dim(tint(rng, (70, 78, 88), 14), between(rng, 0.6, 1.5))
    look = Look(wall, BUILDING, int(rng.integers(8, 26)))
    far_x = side * (x + 12.0)
    canvas.upright((side * x, far_x), (0, height), z[0], look._replace(color=dim(wall, between(rng, 0.7, 0.95))))
    canvas.wall(side * x, (0, height), z, look)
    pitch, storey = between(rng, 1.8, 3.4), between(rng, 2.8, 3.6)
    pane = Look(glass, BUILDING, 10)
    for floor in range(int(height / storey)):
        sill = floor * storey + 0.9
        canvas.wall(side * x, (sill, sill + storey * 0.5), (z[0] + 0.5, z[1] - 0.5), pane)
        canvas.upright((side * (x + 0.7), far_x), (sill, sill + storey * 0.5), z[0], pane)
    for k in range(int((z[1] - z[0]) / pitch)):
        at = z[0] + 0.5 + k * pitch
        canvas.wall(side * x, (0, height - 0.4), (at, at + pitch * 0.45), look)
    for k in range(int(12.0 / pitch)):
        at = x + 0.7 + k * pitch
        canvas.upright((side * at, side * (at + pitch * 0.4)), (0.4, height - 0.4), z[0], look)
    if rng.random() < 0.5:  # a shop front or an advertisement: coloured like a sign, and no sign
        board = Look(tint(rng, pick(rng, BOARDS), 20), BUILDING, 10)
        bottom = between(rng, 2.3, 3.2)
        canvas.wall(side * x, (bottom, bottom + 0.8), (z[0] + 0.5, between(rng, z[0] + 2, z[1])), board)


def foliage(canvas: Canvas, rng: np.random.Generator, centre: Point, radii: tuple[float, float], clumps: int) -> None:
    """A mass of leaves: overlapping ellipses, darker below."""
    leaf = pick(rng, LEAVES)
    x, y, z = centre
    for k in range(clumps):
        rise = k / clumps * 2 - 0.8
        spot = (x + between(rng, -1, 1) * radii[0], y + rise * radii[1] * 0.8, z)
        look = Look(dim(tint(rng, leaf, 12), 0.7 + 0.5 * k / clumps), VEGETATION, int(rng.integers(40, 80)))
        canvas.ellipse(spot, (radii[0] * between(rng, 0.4, 0.7), radii[1] * between(rng, 0.35, 0.6)), look)


def tree(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A trunk, as thin and grey as a pole but vegetation, and a crown."""
    height, spread = between(rng, 3.2, 6.5), between(rng, 0.9, 2.0)
    trunk = Look(tint(rng, (84, 76, 66), 16), VEGETATION, 24)
    canvas.line((x, 0, z), (x, height, z), between(rng, 0.15, 0.35), trunk)
    foliage(canvas, rng, (x, height, z), (spread, between(rng, 1.0, 1.8)), 9)


def pole(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A lamp post with an arm towards the road."""
    height = between(rng, 4.5, 8.0)
    look = Look(tint(rng, (96, 98, 98), 36), POLE, 8)
    canvas.line((x, 0, z), (x, height, z), between(rng, 0.1, 0.2), look)
    if rng.random() < 0.7:
        canvas.line((x, height, z), (x * between(rng, 0.55, 0.85), height + 0.3, z), 0.1, look)


def sign(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A round, triangular or square board on a thin post."""
    height, radius = between(rng, 2.0, 3.0), between(rng, 0.3, 0.5)
    canvas.line((x, 0, z), (x, height, z), 0.07, Look(tint(rng, (120, 122, 122), 30), POLE, 8))
    board, inner = (Look(tint(rng, pick(rng, BOARDS), 20), SIGN, 6) for _ in range(2))
    shape = int(rng.integers(3))
    for size, look in ((radius, board), (radius * 0.55, inner)):
        if shape == 0:
            canvas.ellipse((x, height, z), (size, size), look)
        elif shape == 1:
            canvas.polygon([(x - size, height - size, z), (x + size, height - size, z), (x, height + size, z)], look)
        else:
            canvas.upright((x - size, x + size), (height - size, height + size), z, look)


def car(canvas: Canvas, rng: np.random.Generator, x: float, z: float, length: float) -> None:
    """A car seen from behind and the side: a body, a cabin, lamps and wheels. ``length`` along z, metres."""
    paint = tint(rng, pick(rng, PAINTS), 18)
    half, belt, roof = 0.9, between(rng, 0.8, 1.0), between(rng, 1.35, 1.7)
    canvas.floor((x - 1.05, x + 1.05), (z - 0.3, z + length), Look((30, 30, 33), ROAD, 8))
    inner = x - half if x > 0 else x + half  # the flank that the camera sees
    eave = x + (inner - x) * 0.7
    tyre, glass = Look((24, 24, 26), CAR, 6), Look(tint(rng, (52, 60, 68), 14), CAR, 8)
    body, flank = Look(paint, CAR, 8), Look(dim(paint, 0.78), CAR, 8)
    boot = between(rng, 0.1, 0.7)
    canvas.wall(inner, (0.28, belt), (z, z + length), flank)
    for at in (0.12, 0.7):
        canvas.wall(inner, (0, 0.55), (z + at * length, z + at * length + 0.6), tyre)
    ends = (z + boot, z + 0.75 * length)
    canvas.polygon([(inner, belt, ends[0]), (inner, belt, ends[1]),
                    (eave, roof, ends[1] - 0.8), (eave, roof, ends[0] + 0.4)], glass)  # fmt: skip
    for scale, look in ((1.0, body), (0.8, glass)):
        low, top = half * 0.95 * scale, half * 0.7 * scale
        edge = belt + (roof - belt) * scale
        canvas.polygon([(x - low, belt, z + boot), (x + low, belt, z + boot),
                        (x + top, edge, z + boot + 0.4), (x - top, edge, z + boot + 0.4)], look)  # fmt: skip
    for left in (x - half + 0.05, x + half - 0.3):
        canvas.upright((left, left + 0.25), (0, 0.4), z, tyre)
    canvas.polygon(
        [(x - half, belt, z), (x + half, belt, z), (x + half, belt, z + boot), (x - half, belt, z + boot)],
        body,
    )
    canvas.upright((x - half, x + half), (0.28, belt), z, body)
    lamp = Look((170, 40, 36) if rng.random() < 0.7 else (226, 222, 200), CAR, 4)
    for left in (x - half + 0.05, x + half - 0.35):
        canvas.upright((left, left + 0.3), (belt - 0.3, belt - 0.12), z, lamp)


def crossing_car(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A car that crosses, seen from its side; ``x`` is its left end."""
    paint = tint(rng, pick(rng, PAINTS), 18)
    canvas.floor((x - 0.2, x + 4.4), (z - 0.3, z + 1.6), Look((30, 30, 33), ROAD, 8))
    body, glass = Look(paint, CAR, 8), Look((54, 62, 70), CAR, 8)
    cabin = [(x + 0.7, 0.85, z), (x + 1.3, 1.45, z), (x + 2.9, 1.45, z), (x + 3.5, 0.85, z)]
    canvas.polygon(cabin, body)
    canvas.polygon([(x + 2.05 + (px - x - 2.05) * 0.82, 0.87 + (y - 0.85) * 0.8, z) for px, y, z in cabin], glass)
    canvas.upright((x, x + 4.2), (0.3, 0.87), z, body)
    for centre in (x + 0.85, x + 3.35):
        canvas.ellipse((centre, 0.32, z), (0.32, 0.32), Look((24, 24, 26), CAR, 6))


def person(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Somebody on foot: legs, coat, head."""
    size = between(rng, 0.8, 1.1)
    coat, trousers = (tint(rng, pick(rng, CLOTHES), 18) for _ in range(2))
    skin = pick(rng, ((206, 164, 138), (150, 104, 78), (92, 64, 50)))
    stride = between(rng, 0.05, 0.3)
    for foot in (-stride, stride):
        canvas.line((x, 0.85 * size, z), (x + foot, 0, z), 0.17, Look(trousers, PERSON, 10))
    half = between(rng, 0.2, 0.28)
    canvas.polygon(
        [
            (x - half, 1.42 * size, z), (x + half, 1.42 * size, z),
            (x + half * 0.8, 0.7 * size, z), (x - half * 0.8, 0.7 * size, z),
        ],
        Look(coat, PERSON, 14),
    )  # fmt: skip
    canvas.ellipse((x, 1.58 * size, z), (0.12, 0.15), Look(skin, PERSON, 6))


def bin_(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """A litter bin or crate: void, as none of the classes."""
    canvas.upright((x - 0.35, x + 0.35), (0, between(rng, 0.7, 1.2)), z, Look(pick(rng, PAINTS), VOID, 12))
