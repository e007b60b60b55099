"""Arguments that several verbs take."""

from typing import Annotated

import typer

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe (see `list`) or a YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Overrides of the recipe, e.g. optim.lr=0.01", show_default=False),
]
