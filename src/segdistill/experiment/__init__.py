"""A recipe becomes objects, and they are trained, scored, checked and written down."""

from segdistill.experiment.asking import ask_teachers
from segdistill.experiment.checking import check, refuse_silent, try_step
from segdistill.experiment.checkup import Checkup
from segdistill.experiment.datasets import build_dataset, build_datasets, build_sources
from segdistill.experiment.devices import for_device, switched
from segdistill.experiment.evidence import write_gallery
from segdistill.experiment.folders import new_folder, recipe_of, refuse_other
from segdistill.experiment.given import GIVEN, given_changes, recipe_with
from segdistill.experiment.initialising.beginning import Begun, init
from segdistill.experiment.profiling import PROFILE_WARM_UP, Profile, profile
from segdistill.experiment.scoring import examine_set, make_accelerator, score_network, score_predictor, score_set
from segdistill.experiment.session import Built, build
from segdistill.experiment.settings import build_protocol
from segdistill.experiment.standing import shown_teacher
from segdistill.experiment.tappable import Tappable, tappable
from segdistill.experiment.teachers import build_teachers
from segdistill.experiment.threads import CORES
from segdistill.experiment.training import Runner, run_recipe
from segdistill.experiment.verbs import Cached, Evaluation, Trained, evaluate, prepare, train
from segdistill.experiment.verdicts import Finding

__all__ = [
    "CORES",
    "GIVEN",
    "PROFILE_WARM_UP",
    "Begun",
    "Built",
    "Cached",
    "Checkup",
    "Evaluation",
    "Finding",
    "Profile",
    "Runner",
    "Tappable",
    "Trained",
    "ask_teachers",
    "build",
    "build_dataset",
    "build_datasets",
    "build_protocol",
    "build_sources",
    "build_teachers",
    "check",
    "evaluate",
    "examine_set",
    "for_device",
    "given_changes",
    "init",
    "make_accelerator",
    "new_folder",
    "prepare",
    "profile",
    "recipe_of",
    "recipe_with",
    "refuse_other",
    "refuse_silent",
    "run_recipe",
    "score_network",
    "score_predictor",
    "score_set",
    "shown_teacher",
    "switched",
    "tappable",
    "train",
    "try_step",
    "write_gallery",
]
