"""Comparisons: methods x seeds x settings on one teacher, under one protocol, each run done once.

A comparison is a folder of ordinary run folders and ``comparison.json``, which says what belongs together. Every
run is a recipe of its own; what a comparison adds is that they differ in nothing but the method. Several processes
may work on one folder: each claims the runs that it does.
"""

from segdistill.comparison.comparing import Compared, compare
from segdistill.comparison.demo import plan_demo, run_demo
from segdistill.comparison.planning import Planned, parse_seeds

__all__ = ["Compared", "Planned", "compare", "parse_seeds", "plan_demo", "run_demo"]
