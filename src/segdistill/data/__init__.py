"""Data sets, their loaders, the cache that makes loading quick, and the scan that finds faults."""

from collections.abc import Callable
from typing import Final

from segdistill.data.base import SegmentationDataset
from segdistill.data.cache.read import Prepared, Source
from segdistill.data.cache.write import prepare
from segdistill.data.classes import CLASS_FILES, Listing, listing
from segdistill.data.deep import as_pixels, to_unit
from segdistill.data.fingerprints import MAX_BITS, Twins, same_pictures
from segdistill.data.importing.verb import Imported, import_data
from segdistill.data.layout import files
from segdistill.data.loader import EvalLoader, TrainLoader, eval_loader, train_loader
from segdistill.data.pairing import MASK_SUFFIXES, find_endings
from segdistill.data.pictures import IMAGE_SUFFIXES, channels_of, read_colors, read_image, read_mask, size_of, tiff_tags
from segdistill.data.places import Place
from segdistill.data.preview import preview
from segdistill.data.scan import Fault, ScanReport, Sighting, scan
from segdistill.data.selection import Selection, divided, evenly, spread, together
from segdistill.data.sets.ade20k import ADE20K, ADE20K_LABELS
from segdistill.data.sets.camvid import CAMVID_LABELS, CamVid
from segdistill.data.sets.cityscapes import CITYSCAPES_LABELS, Cityscapes
from segdistill.data.sets.coco_stuff import COCO_STUFF_182_LABELS, COCO_STUFF_LABELS, COCOStuff
from segdistill.data.sets.folder import Folder
from segdistill.data.sets.images import Images
from segdistill.data.sets.streets import STREETS_LABELS, Streets
from segdistill.data.sets.voc import VOC, VOC_LABELS
from segdistill.data.sheet import contact_sheet
from segdistill.data.statistics import ChannelStatistics, channel_statistics
from segdistill.data.transforms import TrainTransform, resize_image, train_transform

DATASETS: Final[dict[str, Callable[..., SegmentationDataset]]] = {
    "ade20k": ADE20K,
    "camvid": CamVid,
    "cityscapes": Cityscapes,
    "coco_stuff": COCOStuff,
    "folder": Folder,
    "images": Images,
    "streets": Streets,
    "voc": VOC,
}
"""Data sets by the name that recipes use; each is called with ``(root, split, **options)``."""

__all__ = [
    "ADE20K",
    "ADE20K_LABELS",
    "CAMVID_LABELS",
    "CITYSCAPES_LABELS",
    "CLASS_FILES",
    "COCO_STUFF_182_LABELS",
    "COCO_STUFF_LABELS",
    "DATASETS",
    "IMAGE_SUFFIXES",
    "MASK_SUFFIXES",
    "MAX_BITS",
    "STREETS_LABELS",
    "VOC",
    "VOC_LABELS",
    "COCOStuff",
    "CamVid",
    "ChannelStatistics",
    "Cityscapes",
    "EvalLoader",
    "Fault",
    "Folder",
    "Images",
    "Imported",
    "Listing",
    "Place",
    "Prepared",
    "ScanReport",
    "SegmentationDataset",
    "Selection",
    "Sighting",
    "Source",
    "Streets",
    "TrainLoader",
    "TrainTransform",
    "Twins",
    "as_pixels",
    "channel_statistics",
    "channels_of",
    "contact_sheet",
    "divided",
    "eval_loader",
    "evenly",
    "files",
    "find_endings",
    "import_data",
    "listing",
    "prepare",
    "preview",
    "read_colors",
    "read_image",
    "read_mask",
    "resize_image",
    "same_pictures",
    "scan",
    "size_of",
    "spread",
    "tiff_tags",
    "to_unit",
    "together",
    "train_loader",
    "train_transform",
]
