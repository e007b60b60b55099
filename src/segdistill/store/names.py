"""Names of the files of a run folder and of a comparison's folder, and of the arrays of ``analysis.safetensors``.

What each file holds stands in `files`.
"""

RECIPE = "recipe.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
TIMING = "timing.jsonl"
LAST = "checkpoints/last/state.safetensors"
BEST = "checkpoints/best/state.safetensors"
STUDENT = "student.safetensors"
RESULT = "result.json"
ASKED = "teachers.json"
CONFUSION = "confusion.json"
IMAGES = "images.json"
ANALYSIS = "analysis.safetensors"
GALLERY = "gallery"
GALLERY_INDEX = "gallery/gallery.json"
FAILED = "failed.json"
EVENTS = "events.log"
TENSORBOARD = "tensorboard"

COMPARISON = "comparison.json"
REPORT = "report.html"
TABLE = "table"  # .md, .tex, .csv, .json

CLASS_ARRAY = "class"
IMAGE_ARRAY = "image"


def feature_array(role: str, feature: str) -> str:
    """Name of an array of features in ``analysis.safetensors``.

    >>> feature_array("student", "layer4")
    'student.layer4'
    """
    return f"{role}.{feature}"
