"""Small trees with the layout and file names of the real data sets, and ways to damage them."""

import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 24, 40

CITYSCAPES_IDS = range(34)
VOC_IDS = (*range(21), 255)
CAMVID_IDS = range(12)
ADE20K_IDS = range(151)
COCO_UNUSED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
COCO_IDS = (*(i for i in range(182) if i not in COCO_UNUSED), 255)


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    """Write random pixels; the suffix decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_mask(
    path: Path,
    ids: Iterable[int],
    seed: int = 0,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    palette: Sequence[int] | None = None,
) -> None:
    """Write a grey or palette PNG in which every id occurs, if there are pixels enough."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.resize(np.array(list(ids), dtype=np.uint8), size[0] * size[1])
    mask = np.random.default_rng(seed).permutation(values).reshape(size)
    picture = Image.fromarray(mask)
    if palette is not None:
        picture.putpalette(list(palette))
    picture.save(path)


def write_halves(image: Path, mask: Path, left: int, right: int) -> None:
    """Write a picture that is black at the left and white at the right, and a mask that says so."""
    white = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    white[:, 16:] = True  # where the blocks of a JPEG meet
    Image.fromarray(np.where(white[..., None], np.uint8([255] * 3), np.uint8([0] * 3))).save(image)
    Image.fromarray(np.where(white, right, left).astype(np.uint8)).save(mask)


def make_cityscapes(root: Path) -> Path:
    """Write 3 train images of two cities, 2 val and 1 test."""
    for split, city, frame in (
        ("train", "aachen", "000000_000019"),
        ("train", "aachen", "000001_000019"),
        ("train", "zurich", "000000_000019"),
        ("val", "frankfurt", "000000_000294"),
        ("val", "munster", "000000_000019"),
        ("test", "berlin", "000000_000019"),
    ):
        name = f"{city}_{frame}"
        write_image(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", seed=len(name))
        labels = root / "gtFine" / split / city
        ids = CITYSCAPES_IDS if split != "test" else (0, 1, 3)
        write_mask(labels / f"{name}_gtFine_labelIds.png", ids, seed=len(name))
        write_mask(labels / f"{name}_gtFine_instanceIds.png", ids)
        write_image(labels / f"{name}_gtFine_color.png")
        (labels / f"{name}_gtFine_polygons.json").write_text("{}")
    return root


def make_voc(root: Path, *, train_list: bool = False) -> Path:
    """Write 3 train and 2 val images; one image is in no split."""
    train, val = ("2007_000032", "2007_000039", "2008_000008"), ("2007_000033", "2007_000042")
    colors = np.random.default_rng(0).integers(0, 256, 768).tolist()
    for seed, name in enumerate((*train, *val, "2009_000001")):
        write_image(root / "JPEGImages" / f"{name}.jpg", seed)
    for seed, name in enumerate((*train, *val)):
        write_mask(root / "SegmentationClassAug" / f"{name}.png", VOC_IDS, seed)
    for seed, name in enumerate(val, start=len(train)):
        write_mask(root / "SegmentationClass" / f"{name}.png", VOC_IDS, seed, palette=colors)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("\n".join(val) + "\n")
    if train_list:
        (lists / "train_aug.txt").write_text("\n".join(train[:2]) + "\n")
    return root


def make_camvid(root: Path, *, suffix: str = ".png", num_images: int = 4) -> Path:
    """Write ``num_images`` train images, 2 val and 3 test."""
    for split, count, stem in (("train", num_images, "0001TP_00"), ("val", 2, "0016E5_0"), ("test", 3, "Seq05VD_f0")):
        for index in range(count):
            name = f"{stem}{6690 + 30 * index}"
            write_image(root / split / f"{name}{suffix}", seed=index)
            write_mask(root / f"{split}annot" / f"{name}.png", CAMVID_IDS, seed=index)
    return root


def make_ade20k(root: Path) -> Path:
    """Write 3 train images and 2 of validation."""
    for folder, short, count in (("training", "train", 3), ("validation", "val", 2)):
        for index in range(1, count + 1):
            name = f"ADE_{short}_{index:08d}"
            write_image(root / "images" / folder / f"{name}.jpg", seed=index)
            write_mask(root / "annotations" / folder / f"{name}.png", ADE20K_IDS, seed=index)
    return root


def make_coco_stuff(root: Path, ids: Iterable[int] = COCO_IDS) -> Path:
    """Write 3 train images and 2 val."""
    ids = tuple(ids)
    for split, names in (("train", (9, 25, 30)), ("val", (139, 285))):
        for number in names:
            write_image(root / "images" / f"{split}2017" / f"{number:012d}.jpg", seed=number)
            write_mask(root / "annotations" / f"{split}2017" / f"{number:012d}.png", ids, seed=number)
    return root


def make_folder(
    root: Path, *, split_first: bool = True, num_images: int = 3, num_classes: int = 3, listed: bool = True
) -> Path:
    """Write splits ``train`` and ``val`` of ``num_images`` each, in either layout."""
    for split in ("train", "val"):
        images, masks = (
            (root / split / "images", root / split / "masks")
            if split_first
            else (root / "images" / split, root / "masks" / split)
        )
        for index in range(num_images):
            write_image(images / f"scene{index}.jpg", seed=index)
            write_mask(masks / f"scene{index}.png", range(num_classes), seed=index)
    if listed:
        (root / "classes.txt").write_text("".join(f"class {index}\n" for index in range(num_classes)))
    return root


def make_images(root: Path) -> Path:
    """Write two images, and files that are none."""
    for seed, name in enumerate(("b.jpg", "a.png", ".hidden.jpg")):
        write_image(root / name, seed)
    (root / "notes.txt").write_text("no image")
    return root


def make_streets(root: Path) -> Path:
    """Write nothing: scenes are drawn."""
    return root


def truncate(path: Path) -> None:
    """Cut a file in half, as a broken download does."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def write_deep_png(path: Path) -> None:
    """Write an RGB picture of 1 x 2 pixels with 16 bits a channel, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + struct.pack(">6H", *range(0, 60000, 10000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def write_tiff(path: Path, channels: int, bits: int) -> None:
    """Write a picture of 2 x 3 black pixels with any number of channels, those after the third undeclared."""
    pixels = bytes(2 * 3 * channels * bits // 8)
    values = {256: (3,), 257: (2,), 258: (bits,) * channels, 259: (1,), 262: (2,), 273: (8,), 277: (channels,)}
    values |= {278: (2,), 279: (len(pixels),)} | ({338: (0,) * (channels - 3)} if channels > 3 else {})
    start = 8 + len(pixels)
    further, entries, place = b"", b"", start + 2 + 12 * len(values) + 4
    for tag, numbers in sorted(values.items()):
        packed = struct.pack(f"<{len(numbers)}H", *numbers)
        if len(packed) > 4:
            packed, further = struct.pack("<I", place + len(further)), further + packed
        entries += struct.pack("<HHI", tag, 3, len(numbers)) + packed.ljust(4, b"\0")
    directory = struct.pack("<H", len(values)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", start) + pixels + directory + further)


def make_flat(
    root: Path,
    *,
    count: int = 6,
    names: Sequence[str] = (),
    images: str = "images",
    masks: str = "masks",
    image_ending: str = "",
    mask_ending: str = "",
    lists: bool = False,
) -> Path:
    """Write one folder of images and one of masks for all splits; lists put all but the last two images into train."""
    names = list(names) or [f"a_{index}" for index in range(count)]
    for seed, name in enumerate(names):
        write_image(root / images / f"{name}{image_ending}.jpg", seed)
        write_mask(root / masks / f"{name}{mask_ending}.png", range(3), seed)
    (root / "classes.txt").write_text("class 0\nclass 1\nclass 2\n")
    if lists:
        for split, part in (("train", names[:-2]), ("val", names[-2:])):
            (root / f"{split}.txt").write_text("".join(f"{name}{image_ending}\n" for name in part))
    return root


def make_scenes(
    root: Path,
    scenes: Sequence[str] = ("a", "b", "c", "d"),
    *,
    images: str = "rgb",
    masks: str = "label",
    mask_ending: str = "",
) -> Path:
    """Write three frames a scene, whose names are the same in every scene."""
    for seed, scene in enumerate(scenes):
        for frame in range(3):
            write_image(root / scene / images / f"{frame:04d}.png", 3 * seed + frame)
            write_mask(root / scene / masks / f"{frame:04d}{mask_ending}.png", range(3), frame)
    (root / "classes.txt").write_text("class 0\nclass 1\nclass 2\n")
    return root


def make_cvat(root: Path) -> Path:
    """Write 12 frames as CVAT exports them as "Segmentation mask 1.1", and one that nobody annotated."""
    colors = np.array([[0, 0, 0], [48, 112, 32], [200, 100, 0]], dtype=np.uint8)
    (root / "SegmentationClass").mkdir(parents=True)
    for seed in range(12):
        write_image(root / "JPEGImages" / f"frame_{seed:06d}.jpg", seed)
        ids = np.random.default_rng(seed).integers(0, 3, (HEIGHT, WIDTH))
        Image.fromarray(colors[ids]).save(root / "SegmentationClass" / f"frame_{seed:06d}.png")
    write_image(root / "JPEGImages" / "frame_000012.jpg")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("".join(f"frame_{seed:06d}\n" for seed in range(12)))
    lines = ("# label:color_rgb:parts:actions", "background:0,0,0::", "leaf:48,112,32::", "stem:200,100,0::")
    (root / "labelmap.txt").write_text("\n".join(lines) + "\n")
    return root
