"""The kinds of values that the keys of a recipe take."""

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(allow_inf_nan=False)]
Size = tuple[Count, Count]
Mapping = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]  # null: empty


CLOSED: Final = ConfigDict(extra="forbid", frozen=True, validate_default=True)
"""A section of a recipe takes no other keys and does not change."""
