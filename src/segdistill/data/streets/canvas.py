"""The canvas of the procedural streets: a perspective drawing, and how it becomes a photograph.

A point of the street is (x, y, z) in metres: x to the right of the camera, y above the ground, z ahead.
Only integer drawing primitives of Pillow without antialiasing are used, on a canvas twice as large as the
picture, and only ``random`` and ``integers`` of the generator, so that a scene is the same everywhere.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from segdistill.data.pictures import ByteMap
from segdistill.labels import Color

SKY, BUILDING, VEGETATION, ROAD, PAVEMENT, CAR, PERSON, POLE, SIGN = range(9)
VOID = 255
OVERSAMPLING = 2
NEAR = 1.2  # metres; nearer points are moved here, which is always outside the picture
HAZE_DEPTH = 60.0  # metres at which half of full haze is reached

Point = tuple[float, float, float]
Floats = NDArray[np.float32]


class Look(NamedTuple):
    """What a shape looks like and is: colour, class, and amplitude of its grain (0 to 255)."""

    color: Color
    label: int
    grain: int = 14


class Canvas:
    """A drawing of numbered shapes, later ones hiding earlier ones, and what each shape looks like.

    Args:
        size: Height and width of the picture in pixels.
        vanishing: Vanishing point, as fractions of width and height.
        camera_height: Metres above the ground.
    """

    def __init__(self, size: tuple[int, int], vanishing: tuple[float, float], camera_height: float) -> None:
        self.height, self.width = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
        self.x0, self.y0 = vanishing[0] * self.width, vanishing[1] * self.height
        self.camera_height = camera_height
        self.shapes = Image.new("I", (self.width, self.height))
        self.facts = [(0, 0, 0, 0, VOID, 0)]  # of each shape: red, green, blue, grain, class, haze
        self.shade = Image.new("L", (self.width, self.height), 255)  # sunlight that reaches the ground
        self._brush, self._shade = ImageDraw.Draw(self.shapes), ImageDraw.Draw(self.shade)

    def project(self, point: Point) -> tuple[int, int]:
        """Pixel of a point of the street."""
        x, y, z = point
        scale = self.height / max(z, NEAR)
        return round(self.x0 + x * scale), round(self.y0 + (self.camera_height - y) * scale)

    def pixels(self, metres: float, z: float, least: int = 1) -> int:
        """Length in pixels, on the canvas, of something at depth ``z``."""
        return max(least, round(metres * self.height / max(z, NEAR)))

    def polygon(self, points: Sequence[Point], look: Look) -> None:
        """A flat shape; its haze is that of its nearest corner."""
        self.flat_polygon([self.project(p) for p in points], look, min(p[2] for p in points))

    def flat_polygon(self, corners: Sequence[tuple[int, int]], look: Look, z: float) -> None:
        """A shape given in pixels of the canvas."""
        self._brush.polygon(corners, fill=self._number(look, z))

    def ellipse(self, centre: Point, radii: tuple[float, float], look: Look) -> None:
        """An upright ellipse of the given radii in metres, never smaller than a pixel of the picture."""
        x, y = self.project(centre)
        rx, ry = (self.pixels(r, centre[2]) for r in radii)
        self._brush.ellipse((x - rx, y - ry, x + rx, y + ry), fill=self._number(look, centre[2]))

    def line(self, start: Point, end: Point, thickness: float, look: Look, least: int = 2) -> None:
        """A bar; ``thickness`` in metres, at least ``least`` pixels of the canvas."""
        z = min(start[2], end[2])
        width = self.pixels(thickness, z, least)
        self._brush.line((self.project(start), self.project(end)), fill=self._number(look, z), width=width)

    def upright(self, x: tuple[float, float], y: tuple[float, float], z: float, look: Look) -> None:
        """A rectangle that faces the camera."""
        self.polygon([(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)], look)

    def wall(self, x: float, y: tuple[float, float], z: tuple[float, float], look: Look) -> None:
        """A rectangle that runs along the street."""
        self.polygon([(x, y[0], z[0]), (x, y[0], z[1]), (x, y[1], z[1]), (x, y[1], z[0])], look)

    def floor(self, x: tuple[float, float], z: tuple[float, float], look: Look) -> None:
        """A rectangle on the ground."""
        self.polygon([(x[0], 0, z[0]), (x[1], 0, z[0]), (x[1], 0, z[1]), (x[0], 0, z[1])], look)

    def shadow(self, points: Sequence[Point], light: int) -> None:
        """Less light (0 to 255) on the ground inside a shape; nothing that stands is darkened."""
        self._shade.polygon([self.project(p) for p in points], fill=light)

    def _number(self, look: Look, z: float) -> int:
        self.facts.append((*look.color, look.grain, look.label, round(255 * z / (z + HAZE_DEPTH))))
        return len(self.facts) - 1


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number drawn evenly between two."""
    return low + (high - low) * float(rng.random())


def tint(rng: np.random.Generator, color: Color, spread: int) -> Color:
    """A colour near another: each channel moved by at most ``spread``."""
    red, green, blue = (min(255, max(0, round(c + (2 * rng.random() - 1) * spread))) for c in color)
    return red, green, blue


def dim(color: Color, factor: float) -> Color:
    """A colour made darker (factor < 1) or lighter."""
    red, green, blue = (min(255, round(c * factor)) for c in color)
    return red, green, blue


def photograph(canvas: Canvas, rng: np.random.Generator) -> tuple[ByteMap, ByteMap]:
    """Turn a drawing into a picture: texture, shadow, haze, exposure, blur, noise.

    Only sums, products and quotients of floats are used: they round alike everywhere.

    Returns:
        Image (H, W, 3) and train ids (H, W), both uint8.
    """
    facts = np.take(np.asarray(canvas.facts, np.uint16), np.asarray(canvas.shapes), axis=0)
    mask: ByteMap = facts[::2, ::2, 4].astype(np.uint8)
    facts = _halve(facts)
    image, grain, haze = np.split(facts.astype(np.float32), (3, 4), axis=2)
    haze = haze[..., 1:]

    height, width = mask.shape
    texture = 0.6 * _noise(rng, height, width, 1) + 0.6 * _noise(rng, height, width, 3)
    image += texture[..., None] * grain * 1.6
    image *= 1 + 0.35 * _noise(rng, height, width, 24)[..., None]  # uneven light, at most a sixth

    shade = _halve(np.asarray(canvas.shade, dtype=np.uint16)[..., None]).astype(np.float32) / 255
    image *= np.where(((mask == ROAD) | (mask == PAVEMENT))[..., None], shade, np.float32(1))

    veil = np.asarray(tint(rng, (188, 190, 194), 14), np.float32)
    image += (veil - image) * (haze / 255 * np.float32(between(rng, 0.15, 0.95)))

    cast = np.asarray([between(rng, 0.92, 1.08) for _ in range(3)], np.float32)
    contrast, middle = between(rng, 0.7, 1.15), between(rng, 88, 138)
    image = (image - 115) * (cast * np.float32(contrast)) + np.float32(middle)

    softness = np.float32(between(rng, 0.0, 0.5))
    for axis in (0, 1):
        image += softness * (_neighbours(image, axis) - image)
    amplitude = np.float32(between(rng, 4, 22))
    image += amplitude * (rng.random(image.shape, np.float32) + rng.random(image.shape, np.float32) - 1)

    _void_borders(mask)
    return np.clip(image, 0, 255).astype(np.uint8), mask


def _halve(canvas: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Mean of each 2x2 block, (2H, 2W, C) to (H, W, C), in whole numbers."""
    return (canvas[::2, ::2] + canvas[1::2, ::2] + canvas[::2, 1::2] + canvas[1::2, 1::2] + 2) // 4


def _noise(rng: np.random.Generator, height: int, width: int, cell: int) -> Floats:
    """Noise in [-0.5, 0.5] of shape (H, W), smooth over ``cell`` pixels (bilinear between random values)."""
    grid = rng.random((height // cell + 2, width // cell + 2), np.float32) - np.float32(0.5)
    if cell == 1:
        return grid[:height, :width]
    rows, cols = np.arange(height), np.arange(width)
    down = ((rows % cell) / cell).astype(np.float32)[:, None]
    right = ((cols % cell) / cell).astype(np.float32)[None, :]
    lines: Floats = grid[:, cols // cell] * (1 - right) + grid[:, cols // cell + 1] * right
    return lines[rows // cell] * (1 - down) + lines[rows // cell + 1] * down


def _neighbours(image: Floats, axis: int) -> Floats:
    """Mean of the two neighbours of every pixel along an axis, the border repeated."""
    place = np.arange(image.shape[axis])
    before, after = np.maximum(place - 1, 0), np.minimum(place + 1, place[-1])
    mean: Floats = (np.take(image, before, axis) + np.take(image, after, axis)) * np.float32(0.5)
    return mean


def _void_borders(mask: ByteMap) -> None:
    """One pixel of void where two of the large classes meet, as hand-drawn labels have; in place."""
    large = mask <= PAVEMENT
    down = large[:-1] & large[1:] & (mask[:-1] != mask[1:])
    right = large[:, :-1] & large[:, 1:] & (mask[:, :-1] != mask[:, 1:])
    mask[:-1][down] = VOID
    mask[:, :-1][right] = VOID
