"""A trained network as a file that other programs run, and the proof that it answers alike."""

from segdistill.deploy.exporting import Exports, export
from segdistill.deploy.formats import FORMATS

__all__ = ["FORMATS", "Exports", "export"]
