"""One recipe, from its folder to its result."""

import contextlib
import json
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from segdistill import store
from segdistill.data import EvalLoader, SegmentationDataset, Selection, eval_loader, evenly, spread, train_loader
from segdistill.engine import Progress, Segment, checkpoint, eager, train
from segdistill.experiment.asking import ask_teachers, sentence
from segdistill.experiment.checking import refuse_faults
from segdistill.experiment.describing import term_record
from segdistill.experiment.devices import for_device, in_words, place, switched
from segdistill.experiment.environment import environment, environment_of, event_log
from segdistill.experiment.evidence import write_gallery
from segdistill.experiment.features import NUM_IMAGES, write_pixel_features
from segdistill.experiment.fitting import direction_notes, fit_terms
from segdistill.experiment.folders import Start, refuse_other
from segdistill.experiment.given import Given
from segdistill.experiment.networks import as_saved
from segdistill.experiment.scoring import Examination, examine_set, make_accelerator, score_set
from segdistill.experiment.session import Built, build
from segdistill.experiment.settings import build_plan, build_protocol
from segdistill.experiment.silence import silent_notes
from segdistill.experiment.standing import main_teacher, segments_of, shown_teacher, teacher_records
from segdistill.experiment.threads import chosen_threads
from segdistill.experiment.trackers import tensorboard
from segdistill.measure import latencies
from segdistill.metrics import Scores
from segdistill.networks import ALONE, Network, save_network
from segdistill.recipe import Recipe, dump_recipe
from segdistill.store import AskedTeachers, BestStep, Confusion, Images, Labels, Result, TeacherScore
from segdistill.types import Batch, SegOutput

logger = logging.getLogger(__name__)


def run_recipe(
    recipe: Recipe,
    folder: Path,
    *,
    student: nn.Module | str | None = None,
    teacher: Given | None = None,
    resume: bool = False,
    on_log: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Train, score and write the run folder; return its ``result.json``.

    The recipe is written before anything else. A start that fails before the first step takes its files back.

    Args:
        recipe: What to do.
        folder: Run folder; created.
        student: Instead of the recipe's ``model``.
        teacher: Instead of the recipe's ``teacher``.
        resume: Continue in a folder that holds an interrupted run of the same recipe. A complete run is
            returned as it is.
        on_log: Called with every training and validation record, on the main process.

    Raises:
        SegdistillError: Whatever is wrong with the recipe, the data or the folder, before training starts.
        NotFiniteError, Stopped: See `engine.train`.
    """
    if resume:
        refuse_other(folder, recipe, f"Continue it as it is (segdistill train --resume {folder})")
    if resume and store.is_complete(folder):
        return store.read_record(Result, folder / store.RESULT).as_json()
    accelerator = make_accelerator(recipe)
    device = accelerator.device
    earlier = environment_of(folder) if resume else None
    with contextlib.ExitStack() as start:
        if accelerator.is_main_process:
            start.callback(Start(folder).undo)
            store.write_text(folder / store.RECIPE, dump_recipe(recipe))
        recipe = for_device(recipe, device, earlier)
        with event_log(folder, accelerator), switched(recipe, device.type):
            built = build(recipe, student, teacher)
            with chosen_threads(recipe, built, device, earlier.threads if earlier else None):
                runner = Runner(recipe, built, folder, accelerator)
                if accelerator.is_main_process:
                    found = environment(accelerator, recipe)
                    logger.info(in_words(recipe, str(found.device), torch.get_num_threads()))
                    store.write_record(folder / store.ENVIRONMENT, found)
                    with eager():
                        refuse_faults(recipe, built, device)
                        _ask(recipe, built, folder, device)
                start.pop_all()  # from here on the folder is a run's
                progress = runner.train(resume=resume, on_log=on_log)
                with eager():
                    result = runner.finish(progress)
    accelerator.wait_for_everyone()
    return result.as_json()


def _ask(recipe: Recipe, built: Built, folder: Path, device: torch.device) -> None:
    """Ask the teachers, once in the life of a run, and write down what they knew."""
    if not built.teachers or (folder / store.ASKED).is_file():
        return
    asked = ask_teachers(recipe, built, device)
    for name, answer in asked.items():
        logger.info("Asked first: %s.", sentence("the teacher" if name == ALONE else f"the teacher {name}", answer))
    store.write_record(folder / store.ASKED, AskedTeachers(teachers=asked))


class Runner:
    """A run that is built: trains it, scores it, writes it down."""

    def __init__(self, recipe: Recipe, built: Built, folder: Path, accelerator: Accelerator) -> None:
        self.recipe, self.built, self.folder, self.accelerator = recipe, built, folder, accelerator
        self.device = accelerator.device
        self.plan = build_plan(recipe)
        self.protocol = build_protocol(recipe)
        self.distiller, self.teacher = place(recipe, built, accelerator)

    def train(self, *, resume: bool, on_log: Callable[[dict[str, Any]], None] | None) -> Progress:
        """The loop, with the validation set as the judge."""
        val_set = self.built.val_set
        tracker = None
        if self.recipe.train.tracker is not None and self.accelerator.is_main_process:
            tracker = tensorboard(self.folder)
        distiller = self.distiller
        if not (resume and (self.folder / store.LAST).is_file()):
            fit_terms(distiller, self.teacher, self.batches, self.accelerator, self.plan)

        def validate() -> dict[str, Any]:
            assert val_set is not None
            distiller.eval()
            with eager():  # images of the set have sizes of their own
                return self._score(distiller.network.segment, val_set)._asdict()

        def log(record: dict[str, Any]) -> None:
            if tracker is not None:
                tracker(record)
            if on_log is not None:
                on_log(record)

        with contextlib.ExitStack() as stack:
            return train(
                distiller,
                self.teacher,
                lambda step: stack.enter_context(contextlib.closing(self.batches(step))),
                self.built.optimizers,
                self.plan,
                run=self.folder,
                accelerator=self.accelerator,
                validate=None if val_set is None else validate,
                resume=resume,
                on_log=log,
            )

    def finish(self, progress: Progress) -> Result:
        """Score the best weights, write student, gallery and result."""
        built, recipe, accelerator = self.built, self.recipe, self.accelerator
        accelerator.wait_for_everyone()  # the main process writes the checkpoints
        best = self.folder / (store.BEST if progress.best_step else store.LAST)
        self.distiller.load_state_dict(checkpoint.load(best).model)
        network = as_saved(self.distiller.network)
        segment, labels, metrics = network.segment, built.labels, self.folder / store.METRICS
        split = built.test_set or built.val_set
        examined = None if split is None else examine_set(segment, split, recipe, accelerator)
        latency = {} if split is None else self._latencies(segment, split)
        taught_by = self._teacher_records(split, latency)
        result = Result(
            name=recipe.name,
            kind=recipe.kind,
            seed=recipe.seed,
            model=recipe.model.name,
            terms={
                name: term_record(name, term, built.suited.options.get(name, {})) for name, term in recipe.terms.items()
            },
            protocol=None if split is None else self._describe(split),
            score=None if examined is None else examined.score,
            best=BestStep(step=progress.best_step, val_miou=progress.best_miou if progress.best_step else None),
            teacher=main_teacher(taught_by),
            teachers=taught_by if len(taught_by) > 1 else {},
            params=sum(parameter.numel() for parameter in network.parameters()),
            ms_per_image=latency.get("student"),
            iterations=progress.step,
            seconds=round(progress.seconds, 1),
            images_per_s=round(progress.step * recipe.data.batch_size / max(progress.seconds, 1e-9), 2),
            peak_memory_mb=progress.peak_memory_mb,
            labels=Labels(names=list(labels.names), colors=list(labels.colors)),
            notes=built.suited.notes + direction_notes(self.distiller) + silent_notes(self.distiller, metrics),
        )
        if accelerator.is_main_process:
            if split is not None and examined is not None:
                self._write_evidence(network, split, examined)
            save_network(
                self.folder / store.STUDENT,
                network,
                extra={
                    "image_scale": repr(recipe.data.image_scale),
                    "recipe": recipe.name,
                    "score": json.dumps(result.score and result.score.miou),
                    "protocol": str(result.protocol),
                },
            )
            store.write_record(self.folder / store.RESULT, result)
        return result

    def _latencies(self, segment: Segment, split: SegmentationDataset) -> dict[str, float]:
        """Milliseconds of an image, of the student and, after it, of each teacher."""
        if not self.accelerator.is_main_process:
            return {}
        teachers: dict[str, Segment] = {name: one.segment for name, one in self.built.teachers.items()}
        images = self._images(split)
        alone = latencies({"student": segment}, images, self.device, repeats=10)
        teachers |= segments_of(self.built.teacher, self.built.labels)
        return alone | (latencies(teachers, images, self.device, repeats=3) if teachers else {})

    def _teacher_records(
        self, split: SegmentationDataset | None, latency: Mapping[str, float]
    ) -> dict[str, TeacherScore]:
        place = self.folder / store.ASKED
        asked = store.read_record(AskedTeachers, place).teachers if place.is_file() else {}

        def score(teacher: Segment, known: Sequence[int] | None) -> float:
            assert split is not None
            return score_set(teacher, split, self.recipe, self.accelerator, known).miou

        return teacher_records(self.recipe, self.built, None if split is None else score, latency, asked)

    def _write_evidence(self, network: Network, split: SegmentationDataset, examined: Examination) -> None:
        """What the report shows beside the scores: confusion, images, features, pictures."""
        recipe, folder = self.recipe, self.folder
        store.write_record(folder / store.CONFUSION, Confusion(matrix=examined.confusion.tolist()))
        store.write_record(folder / store.IMAGES, Images(images=examined.images))
        networks: dict[str, Callable[[Tensor], SegOutput]] = {"student": network}
        if self.built.teachers:
            networks["teacher"] = next(iter(self.built.teachers.values()))
        write_pixel_features(folder / store.ANALYSIS, networks, self._images(evenly(split, NUM_IMAGES)), self.device)
        if recipe.train.gallery:
            shown = spread(len(split), recipe.train.gallery)
            write_gallery(
                folder / store.GALLERY,
                {"prediction": network.segment} | shown_teacher(self.built.teacher, self.built.labels),
                self._images(Selection([(split, index) for index in shown])),
                [examined.images[index] for index in shown],
                colors=self.built.labels.colors,
                device=self.device,
                protocol=self.protocol,
            )

    def _images(self, dataset: SegmentationDataset) -> EvalLoader:
        return eval_loader(dataset, image_scale=self._scale)

    @property
    def _scale(self) -> float:
        return self.recipe.data.image_scale

    def batches(self, start_step: int) -> Generator[Batch, None, None]:
        """The micro-batches of this process from a step on."""
        data, accelerator = self.recipe.data, self.accelerator
        preprocessing = self.distiller.network.preprocessing
        mean = preprocessing.mean[::-1] if preprocessing.bgr else preprocessing.mean
        yield from train_loader(
            self.built.train_set,
            crop_size=data.crop_size,
            batch_size=data.batch_size,
            seed=self.recipe.seed,
            start_step=start_step,
            num_steps=self.plan.iterations,
            num_workers=data.num_workers,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
            accumulate=self.plan.accumulate,
            image_scale=data.image_scale,
            fill=tuple(round(255 * value) for value in mean),
            scale_range=data.scale_range,
            flip=data.flip,
            max_faults=data.max_faults,
            pin_memory=self.device.type == "cuda",
        )

    def _score(self, segment: Segment, dataset: SegmentationDataset) -> Scores:
        return score_set(segment, dataset, self.recipe, self.accelerator)

    def _describe(self, dataset: SegmentationDataset) -> str:
        text = self.protocol.describe(
            self.recipe.data.dataset, dataset.split, len(dataset), self.built.labels.num_classes, self._scale
        )
        chosen = "weights of the last step"
        if self.built.val_set is not None:
            chosen = f"weights chosen on {self.built.val_set.split}"
        return f"{text}, {chosen}"
