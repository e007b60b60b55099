"""How the runs of a report were made: budget, commands, environment, recipes, and the runs that failed."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from segdistill.reports.findings.row import Row, row_label
from segdistill.reports.findings.units import duration, percent
from segdistill.store import Comparison, Environment, Run, TeacherScore

_LONGEST_RECIPE = 20_000  # characters


class Method(NamedTuple):
    """How the runs of one row were made.

    Attributes:
        title: Of the row.
        facts: Names and values: what its environment has of its own, its settings.
        runs: Per seed: seed, score, best step, steps, time, folder.
        recipe: Of the first seed.
    """

    title: str
    facts: list[tuple[str, str]]
    runs: list[list[str]]
    recipe: str


class Provenance(NamedTuple):
    """How the report's runs were made.

    Attributes:
        facts: Names and values that hold for all runs.
        command: That started the comparison; empty without one.
        failed: Row and error of the runs that failed.
        methods: One per row.
    """

    facts: list[tuple[str, str]]
    command: str
    failed: list[tuple[str, str]]
    methods: list[Method]


def provenance(rows: Sequence[Row], comparison: Comparison | None) -> Provenance:
    """Collect how the rows were made; what all runs share is told once."""
    environments = [dict(_flat(run.environment)) for row in rows for run in row.runs]
    shared = {
        name: value
        for name, value in (environments[0] if environments else {}).items()
        if all(environment.get(name) == value for environment in environments)
    }
    settings = {method.name: method.settings for method in comparison.methods} if comparison else {}
    facts = [*_budget(comparison), *shared.items()]
    return Provenance(
        facts=facts or [("runs", str(len(environments)))],
        command=comparison.command if comparison else "",
        failed=[(row.name, error) for row in rows for error in row.failed],
        methods=[_method(row, shared, settings.get(row.name, {})) for row in rows],
    )


def _method(row: Row, shared: dict[str, str], settings: dict[str, Any]) -> Method:
    own = [item for item in _flat(row.runs[0].environment) if item[0] not in shared] if row.runs else []
    return Method(
        title=f"{row_label(row)}, {len(row.runs)} {'run' if len(row.runs) == 1 else 'runs'}",
        facts=[
            ("protocol", row.protocol or "not scored"),
            *_teachers(row),
            *((name, str(value)) for name, value in settings.items()),
            *own,
        ],
        runs=[_run(run) for run in row.runs],
        recipe=row.runs[0].recipe[:_LONGEST_RECIPE] if row.runs else "",
    )


def _run(run: Run) -> list[str]:
    result = run.result
    return [
        str(result.seed),
        percent(result.score.miou if result.score else None),
        "-" if result.iterations is None else str(result.iterations),
        duration(result.seconds),
        "/".join(run.folder.parts[-2:]),
    ]


def _budget(comparison: Comparison | None) -> list[tuple[str, str]]:
    if comparison is None:
        return []
    budget = "the same number of steps for every method"
    if comparison.budget == "time":
        seconds = comparison.budget_seconds
        budget = "the same training time for every method" + (f", {duration(seconds)}" if seconds else "")
    return [
        ("budget", budget),
        *([("teacher", comparison.teacher)] if comparison.teacher else []),
        *([("differences also to", comparison.against)] if comparison.against else []),
    ]


def _teachers(row: Row) -> list[tuple[str, str]]:
    """A line for each teacher: its network, its score, its cost, and what it knew before the training."""
    result = next((run.result for run in row.runs if run.result.teacher), None)
    if result is None or result.teacher is None:
        return []
    taught_by = result.teachers or {"": result.teacher}
    return [(f"teacher {name}".strip(), _teacher(teacher)) for name, teacher in taught_by.items()]


def _teacher(teacher: TeacherScore) -> str:
    facts = [teacher.name]
    if teacher.miou is not None:
        facts.append(f"mIoU {percent(teacher.miou)} %")
    if teacher.classes:
        facts.append(f"over {', '.join(teacher.classes)}")
    if teacher.params:
        facts.append(f"{teacher.params / 1e6:.2f} M parameters")
    if teacher.macs:
        facts.append(f"{teacher.macs / 1e9:.2f} GMAC a crop")
    if teacher.ms_per_image:
        facts.append(f"{teacher.ms_per_image:.1f} ms an image")
    if asked := teacher.asked:
        facts.append(
            f"asked first: mIoU {percent(asked.miou)} % on {asked.images} images, chance {percent(asked.chance)} %"
        )
    return "; ".join(facts)


def _flat(environment: Environment) -> list[tuple[str, str]]:
    """Names and values of the environment, as far as they are known; nested ones joined."""
    return [
        (str(key), ", ".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, dict) else str(item))
        for key, item in environment.as_json().items()
        if item not in (None, {})
    ]
