"""A whole street: what stands where, drawn from far to near.

Each scene has sky, buildings, vegetation, road, pavement, cars, persons, poles and signs in perspective,
hidden behind one another, under changing light, haze, blur and noise. Colours overlap between classes, and
far persons and signs are a few pixels tall, so that the surroundings must decide: a small network alone
is clearly behind a larger one.
"""

from itertools import pairwise
from typing import Final

import numpy as np

from segdistill.data.pictures import ByteMap
from segdistill.data.streets import objects as things
from segdistill.data.streets.canvas import (
    BUILDING,
    PAVEMENT,
    ROAD,
    SKY,
    VEGETATION,
    VOID,
    Canvas,
    Look,
    between,
    dim,
    photograph,
    tint,
)
from segdistill.data.streets.objects import pick

BANDS: Final = (1.2, 3.0, 4.0, 6.0, 9.0, 14.0, 22.0, 40.0, 90.0)  # depths at which the ground changes its haze


def draw_scene(rng: np.random.Generator, size: tuple[int, int]) -> tuple[ByteMap, ByteMap]:
    """Draw one street.

    Args:
        rng: The only source of chance; the same state gives the same scene.
        size: Height and width in pixels.

    Returns:
        Image (H, W, 3), RGB, and train ids (H, W) with 255 for void; both uint8.

    Example:
        >>> image, mask = draw_scene(np.random.Generator(np.random.PCG64(0)), (96, 160))
        >>> image.shape, mask.shape
        ((96, 160, 3), (96, 160))
    """
    canvas = Canvas(size, (between(rng, 0.3, 0.7), between(rng, 0.36, 0.5)), between(rng, 1.3, 1.9))
    kerbs = between(rng, 3.0, 6.5), between(rng, 3.0, 6.5)  # metres from the camera, left and right
    pavements = between(rng, 1.8, 4.5), between(rng, 1.8, 4.5)
    _draw_sky(canvas, rng)
    _draw_ground(canvas, rng, kerbs, pavements)
    _draw_skyline(canvas, rng)
    for side, kerb, pavement in zip((-1, 1), kerbs, pavements, strict=True):
        _draw_side(canvas, rng, side, kerb + pavement)
    _draw_objects(canvas, rng, kerbs, pavements)
    if rng.random() < 0.4:
        _draw_bonnet(canvas, rng)
    return photograph(canvas, rng)


def _draw_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    zenith = tint(rng, pick(rng, ((92, 130, 176), (150, 160, 170), (172, 172, 170), (120, 146, 172))), 16)
    steps, far = 10, 30.0
    for k in range(steps):
        top, bottom = (int(canvas.y0 * 1.1) * i // steps for i in (k, k + 1))
        color = tuple(round(c + (205 - c) * k / steps) for c in zenith)
        look = Look((color[0], color[1], color[2]), SKY, 6)
        canvas.flat_polygon([(0, top), (canvas.width, top), (canvas.width, bottom), (0, bottom)], look, far)
    for _ in range(int(rng.integers(0, 7))):
        cloud = Look(tint(rng, (206, 206, 206), 24), SKY, 14)
        centre = (between(rng, -60, 60), between(rng, 12, 50), 80.0)
        canvas.ellipse(centre, (between(rng, 5, 16), between(rng, 1, 3)), cloud)


def _draw_skyline(canvas: Canvas, rng: np.random.Generator) -> None:
    """Far houses and woods that close the street."""
    for _ in range(10):
        at, height = between(rng, -70, 70), between(rng, 2, 10)
        if rng.random() < 0.5:
            wall = Look(tint(rng, pick(rng, things.FACADES), 14), BUILDING, 12)
            canvas.upright((at, at + between(rng, 6, 16)), (-1.0, height), 75.0, wall)
        else:
            things.foliage(canvas, rng, (at, height * 0.3, 70.0), (height * 1.2, height * 0.5), 6)


def _draw_side(canvas: Canvas, rng: np.random.Generator, side: int, x: float) -> None:
    """Buildings, hedges and gaps along one side of the street, far to near."""
    light, far = between(rng, 0.65, 1.15), between(rng, 35.0, 70.0)
    while far > 2.0:
        near = max(far - between(rng, 7.0, 16.0), 0.0)
        kind = rng.random()
        if kind < 0.68:
            things.building(canvas, rng, side, x, (near, far), light)
        elif kind < 0.88:
            hedge = Look(tint(rng, pick(rng, things.LEAVES), 10), VEGETATION, 60)
            height = between(rng, 1.0, 2.6)
            canvas.upright((side * x, side * (x + 14.0)), (0, height), near, hedge)
            canvas.wall(side * x, (0, height), (near, far), hedge)
            spot = (side * (x + 2.5), height + 1.0, (near + far) / 2)
            things.foliage(canvas, rng, spot, (between(rng, 2, 4), between(rng, 1, 3)), 9)
        far = near - (between(rng, 0.5, 4.0) if rng.random() < 0.3 else 0.0)


def _draw_ground(
    canvas: Canvas, rng: np.random.Generator, kerbs: tuple[float, float], pavements: tuple[float, float]
) -> None:
    """Road, pavements, kerbs, marks, and the shadows that fall on them."""
    asphalt = int(rng.integers(70, 125))
    road = Look(tint(rng, (asphalt, asphalt, asphalt + 2), 6), ROAD, int(rng.integers(14, 34)))
    slab = asphalt + int(rng.integers(-14, 45))
    paving = Look(tint(rng, (slab, slab - 2, slab - 6), 8), PAVEMENT, int(rng.integers(10, 34)))
    verge = Look(tint(rng, (82, 96, 58), 14), VEGETATION, 40)
    grassy = rng.random(2) < 0.3
    joints = rng.random() < 0.6
    for near, far in pairwise(BANDS):
        canvas.floor((-150.0, 150.0), (near, far), paving if far > 30 else verge)
        for side, kerb, pavement, lawn in zip((-1, 1), kerbs, pavements, grassy.tolist(), strict=True):
            outer = kerb + pavement
            canvas.floor((side * kerb, side * (outer + 15.0)), (near, far), verge if lawn else paving)
            canvas.floor((side * kerb, side * outer), (near, far), paving)
        canvas.floor((-kerbs[0], kerbs[1]), (near, far), road)
    for side, kerb, pavement in zip((-1, 1), kerbs, pavements, strict=True):
        stone = paving._replace(color=dim(paving.color, between(rng, 0.8, 1.35)))
        canvas.floor((side * kerb, side * (kerb + 0.18)), (1.2, 40.0), stone)
        if joints:
            crack = paving._replace(color=dim(paving.color, 0.84))
            for k in range(10):
                z = 2.2 * 1.3**k
                canvas.line((side * kerb, 0, z), (side * (kerb + pavement), 0, z), 0.03, crack, least=1)
    _draw_marks(canvas, rng, kerbs, road)
    for _ in range(int(rng.integers(0, 5))):
        x, z, width = between(rng, -9, 5), between(rng, 3, 25), between(rng, 2, 9)
        depth, lean = between(rng, 0.8, 5), between(rng, -3, 3)
        corners = ((x, 0, z), (x + width, 0, z), (x + width + lean, 0, z + depth), (x + lean, 0, z + depth))
        canvas.shadow(corners, int(rng.integers(110, 200)))


def _draw_marks(canvas: Canvas, rng: np.random.Generator, kerbs: tuple[float, float], road: Look) -> None:
    white = road._replace(color=dim((200, 200, 194), between(rng, 0.75, 1.1)))
    middle = (kerbs[1] - kerbs[0]) / 2 + between(rng, -1, 1)
    start = between(rng, 1.2, 4.0)
    if rng.random() < 0.75:
        for k in range(10):
            z = start + 4.5 * k
            canvas.floor((middle - 0.08, middle + 0.08), (z, z + 2.2), white)
    if rng.random() < 0.3:  # a zebra crossing
        z = between(rng, 4.0, 14.0)
        for k in range(int((kerbs[0] + kerbs[1]) / 1.0)):
            canvas.floor((-kerbs[0] + k + 0.2, -kerbs[0] + k + 0.7), (z, z + 2.8), white)
    patch = road._replace(color=dim(road.color, between(rng, 0.75, 1.2)))
    for _ in range(int(rng.integers(0, 4))):  # repairs
        x, z = between(rng, -kerbs[0], kerbs[1] - 1.5), between(rng, 2.5, 20)
        canvas.floor((x, x + between(rng, 0.5, 1.5)), (z, z + between(rng, 0.6, 5)), patch)


def _draw_objects(
    canvas: Canvas, rng: np.random.Generator, kerbs: tuple[float, float], pavements: tuple[float, float]
) -> None:
    """Everything that stands or moves, far to near."""
    placed: list[tuple[float, str, float]] = []  # depth, kind, x
    for side, kerb, pavement in zip((-1, 1), kerbs, pavements, strict=True):
        planted, lit, parked = (rng.random(3) < (0.5, 0.7, 0.55)).tolist()
        step = between(rng, 5.0, 10.0)
        if planted:
            placed += [(between(rng, 4, 7) + step * k, "tree", side * (kerb + 0.7)) for k in range(6)]
        if lit:
            step = between(rng, 9.0, 16.0)
            placed += [(between(rng, 5, 9) + step * k, "pole", side * (kerb + 0.4)) for k in range(4)]
        if parked:
            spots = [5.0 + 5.8 * k + between(rng, 0, 0.8) for k in range(7)]
            placed += [(z, "car", side * (kerb - 1.0)) for z in spots if rng.random() < 0.6]
        for _ in range(int(rng.integers(0, 4))):
            placed.append((between(rng, 5, 26), "sign", side * (kerb + between(rng, 0.2, 0.6))))
        for _ in range(int(rng.integers(0, 5))):
            x = side * (kerb + between(rng, 0.2, pavement))
            placed.append((between(rng, 4.5, 26), "person", x))
        if rng.random() < 0.25:
            placed.append((between(rng, 5, 14), "bin_", side * (kerb + pavement - 0.5)))
    for _ in range(int(rng.integers(0, 3))):
        placed.append((between(rng, 7, 45), "car", between(rng, -kerbs[0] + 2.6, kerbs[1] - 2.6)))
    for _ in range(int(rng.integers(0, 2))):
        placed.append((between(rng, 6, 20), "person", between(rng, -kerbs[0], kerbs[1])))
    if rng.random() < 0.15:
        placed.append((between(rng, 11, 25), "crossing_car", between(rng, -7, 4)))
    for z, kind, x in sorted(placed, reverse=True):
        if kind == "car":
            things.car(canvas, rng, x, z, between(rng, 3.8, 4.8))
        else:
            _DRAW[kind](canvas, rng, x, z)


_DRAW = {
    "tree": things.tree,
    "pole": things.pole,
    "sign": things.sign,
    "person": things.person,
    "bin_": things.bin_,
    "crossing_car": things.crossing_car,
}


def _draw_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    width, height = canvas.width, canvas.height
    top = round(height * between(rng, 0.9, 0.96))
    look = Look(tint(rng, pick(rng, things.PAINTS), 10), VOID, 6)
    corners = [(-4, height), (-4, top + height // 24), (width // 6, top), (width * 5 // 6, top),
               (width + 4, top + height // 24), (width + 4, height)]  # fmt: skip
    canvas.flat_polygon(corners, look, 0.0)
