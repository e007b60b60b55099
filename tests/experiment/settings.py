"""Overrides that make a run of a drawn data set small."""

TINY = [
    "data.options={}", "data.options={num_images: 2, num_train: 2, size: [32, 48]}", "data.crop_size=[32,48]",
    "data.batch_size=2", "model.name=deeplabv3_mobilenetv2_035", "model.options={}", "model.options.output_stride=16",
    "train.iterations=2", "train.val_every=1", "train.log_every=1", "train.gallery=1", "train.device=cpu",
]  # fmt: skip
