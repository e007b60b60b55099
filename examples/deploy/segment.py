"""Segment a picture with an exported student: onnxruntime, NumPy and Pillow, nothing of segdistill.

    segdistill export runs/student --uint8 --argmax
    python examples/deploy/segment.py runs/student/export/student.onnx photo.jpg mask.png

The mask has class ids as pixel values and the classes' colours as palette. Names and colours come from the file.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

network, picture, mask = sys.argv[1:]

session = onnxruntime.InferenceSession(network)
about = json.loads(session.get_modelmeta().custom_metadata_map["segdistill"])
image = np.asarray(ImageOps.exif_transpose(Image.open(picture)).convert("RGB"))[None]
if about["layout"] == "float":
    image = image.transpose(0, 3, 1, 2).astype(np.float32) / 255
output = session.run(None, {"image": image})[0][0]
ids = output if about["output"] == "ids" else output.argmax(0)

labels = (label for label in about["labels"]["labels"] if not label["ignored"])
classes = sorted({(label["train_id"], label["name"], *label["color"]) for label in labels})
drawn = Image.fromarray(ids.astype(np.uint8))
drawn.putpalette([value for each in classes for value in each[2:]])
drawn.save(mask)
for number, name, *_ in classes:
    print(f"{name}: {100 * np.mean(ids == number):.1f} %")
