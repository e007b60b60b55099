"""What a run and a comparison leave on disk: names, records, reading them back. No torch."""

from segdistill.store.comparison import FORMAT, Comparison, MethodRecord, first_runs, read_comparison
from segdistill.store.features import Array, PixelFeatures, feature_of
from segdistill.store.files import COMPARISON_FILES, RUN_FILES, File
from segdistill.store.jsonfiles import (
    append_record,
    drop_records_after,
    is_complete,
    read_json,
    read_lines,
    read_record,
    read_records,
    write_json,
    write_record,
    write_text,
)
from segdistill.store.names import (
    ANALYSIS,
    ASKED,
    BEST,
    CLASS_ARRAY,
    COMPARISON,
    CONFUSION,
    ENVIRONMENT,
    EVENTS,
    FAILED,
    GALLERY,
    GALLERY_INDEX,
    IMAGE_ARRAY,
    IMAGES,
    LAST,
    METRICS,
    RECIPE,
    REPORT,
    RESULT,
    STUDENT,
    TABLE,
    TENSORBOARD,
    TIMING,
    feature_array,
)
from segdistill.store.records import (
    Asked,
    AskedTeachers,
    BestStep,
    Boundary,
    Confusion,
    Environment,
    Failed,
    Gallery,
    Images,
    ImageScore,
    Kind,
    Labels,
    LogLine,
    Record,
    Result,
    Score,
    TeacherScore,
    TermRecord,
    TimingLine,
    Validation,
)
from segdistill.store.runs import Curve, Run, curve, read_failure, read_runs

__all__ = [
    "ANALYSIS", "ASKED", "BEST", "CLASS_ARRAY", "COMPARISON", "COMPARISON_FILES", "CONFUSION", "ENVIRONMENT", "EVENTS",
    "FAILED", "FORMAT", "GALLERY", "GALLERY_INDEX", "IMAGES", "IMAGE_ARRAY", "LAST", "METRICS", "RECIPE", "REPORT",
    "RESULT", "RUN_FILES", "STUDENT", "TABLE", "TENSORBOARD", "TIMING", "Array", "Asked", "AskedTeachers", "BestStep",
    "Boundary", "Comparison", "Confusion", "Curve", "Environment", "Failed", "File", "Gallery", "ImageScore", "Images",
    "Kind", "Labels", "LogLine", "MethodRecord", "PixelFeatures", "Record", "Result", "Run", "Score", "TeacherScore",
    "TermRecord", "TimingLine", "Validation", "append_record", "curve", "drop_records_after", "feature_array",
    "feature_of", "first_runs", "is_complete", "read_comparison", "read_failure", "read_json", "read_lines",
    "read_record", "read_records", "read_runs", "write_json", "write_record", "write_text",
]  # fmt: skip
