"""Data sets, their loaders, the cache that makes loading quick, and the scan that finds faults."""

from collections.abc import Callable
from typing import Final

from segdistill.data.ade20k import ADE20K
from segdistill.data.base import DataError, DatasetNotFoundError, SegmentationDataset, read_image, read_mask
from segdistill.data.cache import Prepared, Source
from segdistill.data.camvid import CamVid
from segdistill.data.cityscapes import Cityscapes
from segdistill.data.coco_stuff import COCOStuff
from segdistill.data.folder import Folder
from segdistill.data.images import Images
from segdistill.data.loader import EvalLoader, TrainLoader, eval_loader, train_loader
from segdistill.data.prepare import prepare
from segdistill.data.scan import Fault, ScanReport, scan
from segdistill.data.selection import Selection, evenly, spread, together
from segdistill.data.streets import Streets
from segdistill.data.transforms import TrainTransform, train_transform
from segdistill.data.voc import VOC

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
    "DATASETS",
    "VOC",
    "COCOStuff",
    "CamVid",
    "Cityscapes",
    "DataError",
    "DatasetNotFoundError",
    "EvalLoader",
    "Fault",
    "Folder",
    "Images",
    "Prepared",
    "ScanReport",
    "SegmentationDataset",
    "Selection",
    "Source",
    "Streets",
    "TrainLoader",
    "TrainTransform",
    "eval_loader",
    "evenly",
    "prepare",
    "read_image",
    "read_mask",
    "scan",
    "spread",
    "together",
    "train_loader",
    "train_transform",
]
