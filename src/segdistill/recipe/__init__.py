"""The recipe of a run: its closed schema, reading and overriding it, the methods of a comparison."""

from segdistill.recipe.changes import differences
from segdistill.recipe.load import change_recipe, describe_recipes, dump_recipe, load_recipe, parse_recipe, recipe_names
from segdistill.recipe.methods import method_terms
from segdistill.recipe.networks import ModelConfig, TeacherConfig, TermConfig
from segdistill.recipe.schema import DataConfig, Recipe

__all__ = [
    "DataConfig",
    "ModelConfig",
    "Recipe",
    "TeacherConfig",
    "TermConfig",
    "change_recipe",
    "describe_recipes",
    "differences",
    "dump_recipe",
    "load_recipe",
    "method_terms",
    "parse_recipe",
    "recipe_names",
]
