"""The parts of a report below its first screen: which figures and tables they hold, and what a reader is told of them.

A part without data is left out; so is a figure.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from markupsafe import Markup

from segdistill.reports.figures import classes as class_figures
from segdistill.reports.figures import confusion as confusion_figures
from segdistill.reports.figures import features as feature_figures
from segdistill.reports.figures import scores as score_figures
from segdistill.reports.figures.charts import Figure
from segdistill.reports.figures.classes import MOST_CLASSES
from segdistill.reports.figures.features import ClassLook
from segdistill.reports.findings.classes import Measure, class_table
from segdistill.reports.findings.confusions import confusion
from segdistill.reports.findings.parts import silence
from segdistill.reports.findings.ranking import main_rows
from segdistill.reports.findings.row import Row, row_label
from segdistill.reports.tables.table import Entry, Table, number

MEASURES: tuple[Measure, ...] = ("IoU", "boundary IoU", "boundary F")


class Choice(NamedTuple):
    """One of the figures of a chart: its name in the list, and its data as JSON that is safe in HTML."""

    label: str
    data: Markup
    height: int


class Chart(NamedTuple):
    """A place for a figure; with several choices the reader picks one.

    Attributes:
        title: Heading.
        caption: What it shows, in words.
        choices: The figures.
        choose: What is chosen between. Charts of one page with equal words change together.
        chosen: Number of the first one shown.
        wide: Takes the whole width of the page.
        min_width: In pixels; on narrower screens it scrolls. 0 for none.
        notes: What the figures cannot show, a sentence each.
    """

    title: str
    caption: str
    choices: list[Choice]
    choose: str = ""
    chosen: int = 0
    wide: bool = False
    min_width: int = 0
    notes: Sequence[str] = ()

    @property
    def height(self) -> int:
        """Room to keep free until it is drawn, pixels."""
        return max(choice.height for choice in self.choices)


class Section(NamedTuple):
    """A part of the page; ``more`` are charts that are folded away, ``legend`` what the markers of its charts mean."""

    id: str
    title: str
    text: str
    charts: list[Chart]
    tables: Sequence[Table] = ()
    more: Sequence[Chart] = ()
    legend: Sequence[ClassLook] = ()
    small: bool = False


def sections(rows: Sequence[Row]) -> list[Section]:
    """All parts that the runs have data for, in the order of the page."""
    made = [_training(rows), _classes(rows), _confusions(rows), _terms(rows), _embedding(rows), _likeness(rows)]
    return [section for section in made if section.charts]


def costs(rows: Sequence[Row]) -> list[Chart]:
    """The plots of quality over cost, part of the first screen."""
    text = "Higher and further left is better. Bars: one standard deviation over seeds."
    if len(rows) < 2:
        return []  # a single point shows nothing that the table does not
    taught = len({row.kind == "teacher" for row in rows}) > 1
    charts: list[Chart] = []
    plots: list[tuple[str, Literal["ms_per_image", "seconds"]]] = [
        ("Quality over cost in use", "ms_per_image"),
        ("Quality over cost of training", "seconds"),
    ]
    for title, cost in plots:
        every, students = (score_figures.cost_figure(rows, cost, teachers=teachers) for teachers in (True, False))
        choices = [("all", every), ("students", students)] if taught else [("all", every)]
        chosen = 1 if taught and students and cost == "seconds" else 0
        charts += _chart(title, text, choices, choose="Rows", chosen=chosen)
    return charts


def _training(rows: Sequence[Row]) -> Section:
    bands = "Lines are means over seeds, bands reach from the lowest to the highest seed."
    over = [("step", score_figures.miou_figure(rows)), ("training time", score_figures.miou_figure(rows, "time"))]
    loss = "Cross-entropy with the labels alone, so that runs with and without distillation can be compared."
    charts = [
        *_chart("Validation mIoU", bands, over, choose="Over"),
        *_chart("Task loss", loss, [("", score_figures.loss_figure(rows))]),
    ]
    return Section("training", "While training", "", charts)


def _classes(rows: Sequence[Row]) -> Section:
    tables = {measure: class_table(rows, measure) for measure in MEASURES}
    count = len(tables["IoU"])
    some = f" The {MOST_CLASSES} classes of {count} that differ most." if count > MOST_CLASSES else ""
    columns = sum(row.kind == "distilled" for row in rows)
    strokes = "Blue strokes are gains of the best distilled row on the student alone, orange ones losses."
    score = (strokes if columns else "Lowest first.") + some
    gain = "Points gained (blue) or lost (orange) against the student alone, means over seeds." + some
    wide = columns > 5
    scores = [(measure, class_figures.class_figure(rows, measure)) for measure in MEASURES]
    gains = [(measure, class_figures.difference_figure(rows, measure)) for measure in MEASURES]
    charts = [
        *_chart("Scores of the classes", score, scores, choose="Measure", wide=wide),
        *_chart(
            "Difference to the student alone", gain, gains, choose="Measure", wide=wide, min_width=120 + 44 * columns
        ),
    ]
    boundaries = [run.result.score.boundary for row in rows for run in row.runs if run.result.score]
    rules = dict.fromkeys(boundary.rule for boundary in boundaries if boundary and boundary.rule)
    lines = [
        Table(
            ["class", *(row_label(row) for row in rows)],
            [[Entry(name, name), *(number(value, 1, 100) for value in values)] for name, values in table.items()],
            f"{measure} of each class as a table, %",
        )
        for measure, table in tables.items()
        if table
    ]
    text = " ".join(f"Boundary scores: {rule}." for rule in rules)
    return Section("classes", "Where it gains and where it fails", text, charts, lines)


def _confusions(rows: Sequence[Row]) -> Section:
    matrix = "A line is a true class. It shows the share of its pixels, in %, that were given to each class."
    count = max((len(found[0]) for row in rows if (found := confusion(row))), default=0)
    matrix += f" The {MOST_CLASSES} classes that take part in most mistakes." if count > MOST_CLASSES else ""
    wide = count > 20
    bars = "True class → predicted class, by the share of the true class's pixels."
    charts = [
        *_by_row(
            "Confusion matrix",
            matrix,
            rows,
            confusion_figures.confusion_figure,
            wide,
            160 + 22 * min(count, MOST_CLASSES),
        ),
        *_by_row("Largest confusions", bars, rows, confusion_figures.mistakes_figure, wide),
    ]
    return Section("confusion", "What is taken for what", "", charts)


def _terms(rows: Sequence[Row]) -> Section:
    students = [row for row in rows if row.kind == "distilled"] or list(rows)
    parts = "Each term before its weight, mean and band over seeds; logarithmic."
    norms = "Norm of the gradient that each weighted term sends to the student; logarithmic."
    charts = [
        *(
            chart._replace(notes=silence(students))
            for chart in _by_row("Loss terms", parts, students, score_figures.parts_figure)
        ),
        *(
            chart._replace(notes=silence(students, "grad_norms"))
            for chart in _by_row(
                "Gradient norms", norms, students, lambda row: score_figures.parts_figure(row, "grad_norms")
            )
        ),
    ]
    return Section("terms", "Loss terms and their gradients", "", charts)


def _embedding(rows: Sequence[Row]) -> Section:
    maps, legend = feature_figures.embedding_figures(rows)
    caption = "Each network has a map of its own: only which points lie together means something."
    charts = {index: chart for index, (label, made) in maps.items() for chart in _chart(label, "", [("", made)])}
    main = main_rows(rows) if len(charts) > 6 else list(charts)
    text = f"t-SNE of the same pixels' features in every network. {caption}"
    shown = [chart for index, chart in charts.items() if index in main or index < 0]
    folded = [chart for index, chart in charts.items() if index not in main and index >= 0]
    return Section("embedding", "What the features look like", text, shown, more=folded, legend=legend, small=True)


def _likeness(rows: Sequence[Row]) -> Section:
    distance = feature_figures.DISTANCE
    charts = [
        *_chart("Distance to the teacher", distance, [("", feature_figures.distance_figure(rows))]),
        *_chart("Self-similarity", feature_figures.SIMILARITY, [("", feature_figures.similarity_figure(rows))]),
    ]
    return Section("likeness", "How close the students are to the teacher", "", charts)


def _by_row(
    title: str,
    caption: str,
    rows: Sequence[Row],
    draw: Callable[[Row], Figure | None],
    wide: bool = False,
    min_width: int = 0,
) -> list[Chart]:
    """A chart with a choice for every row that has data; the row the report is about is shown first."""
    drawn = [(row, figure) for row in rows if (figure := draw(row)) is not None]
    main = main_rows([row for row, _ in drawn])
    choices = [(row_label(row), figure) for row, figure in drawn]
    return _chart(title, caption, choices, choose="Row", chosen=main[-1] if main else 0, wide=wide, min_width=min_width)


def _chart(
    title: str,
    caption: str,
    choices: Iterable[tuple[str, Figure | None]],
    *,
    choose: str = "",
    chosen: int = 0,
    wide: bool = False,
    min_width: int = 0,
) -> list[Chart]:
    """A chart, or none if none of its figures has data."""
    made = [Choice(label, safe_json(figure), figure["layout"]["height"]) for label, figure in choices if figure]
    return [Chart(title, caption, made, choose, chosen, wide, min_width)] if made else []


def safe_json(figure: Figure) -> Markup:
    r"""JSON that may stand inside a script element: nothing in it can close the element or open a comment.

    >>> print(safe_json({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(figure, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)
