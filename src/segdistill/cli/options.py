"""Arguments that several verbs take."""

from typing import Annotated

import typer

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe (see `list`) or a YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Overrides of the recipe, e.g. optim.lr=0.01", show_default=False),
]
OwnStudent = Annotated[
    str | None,
    typer.Option(
        "--student", metavar="MODULE:FUNCTION", help="Network of yours instead of the recipe's: who builds it."
    ),
]
OwnTeacher = Annotated[
    str | None,
    typer.Option("--teacher", metavar="MODULE:FUNCTION", help="Teacher of yours instead of the recipe's: likewise."),
]
TrainedStudent = Annotated[
    str | None,
    typer.Option("--student", metavar="MODULE:FUNCTION", help="For a run of a network of yours: who builds it."),
]
