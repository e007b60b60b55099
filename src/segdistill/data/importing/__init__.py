"""Exports of label tools become a folder of images and class masks, through Datumaro."""

from segdistill.data.importing.verb import Imported, import_data

__all__ = ["Imported", "import_data"]
