"""Draw the README's picture: image, truth and the predictions of several runs, from their galleries.

docs/results/camvid_cpu.md has the command.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

GAP, HEAD, WIDTH = 6, 30, 300


def main() -> None:
    """Read the arguments and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="title=run folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    titled = [entry.partition("=")[::2] for entry in arguments.runs]
    first = Path(titled[0][1]) / "gallery"
    columns = [("image", first, "image"), ("truth", first, "truth")]
    columns += [(title, Path(run) / "gallery", "prediction") for title, run in titled]
    sheet = draw(columns, arguments.images)
    sheet.save(arguments.out, optimize=True)


def draw(columns: list[tuple[str, Path, str]], images: list[int]) -> Image.Image:
    """One column a title, one row an image."""
    with Image.open(columns[0][1] / f"image_{images[0]:03d}.png") as sample:
        height = round(sample.height * WIDTH / sample.width)
    size = (len(columns) * (WIDTH + GAP) - GAP, HEAD + len(images) * (height + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for column, (title, folder, kind) in enumerate(columns):
        left = column * (WIDTH + GAP)
        pen.text((left + 4, 4), title, fill="black", font=font)
        for row, index in enumerate(images):
            resample = Image.Resampling.LANCZOS if kind == "image" else Image.Resampling.NEAREST
            with Image.open(folder / f"{kind}_{index:03d}.png") as picture:
                resized = picture.convert("RGB").resize((WIDTH, height), resample)
            sheet.paste(resized, (left, HEAD + row * (height + GAP)))
    return sheet


if __name__ == "__main__":
    main()
