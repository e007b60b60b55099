"""What is measured against: Af-DCD computed the way its authors' code computes it, written by us."""

from benchmarks.reference.af_dcd import PublishedAfDCD, published_contrast

__all__ = ["PublishedAfDCD", "published_contrast"]
