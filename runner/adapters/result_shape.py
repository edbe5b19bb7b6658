"""The shape of upstream's `result.json`, as far as it is read: types and ranges, checked by pydantic."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from runner.model.failure import one_line

COST_LIMIT = 100_000.0
DURATION_LIMIT = 30 * 24 * 3600.0

Cost = Annotated[float, Field(ge=0, le=COST_LIMIT, allow_inf_nan=False)]
Count = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""Of a number that upstream may have written as 3 or 3.0."""


class NotAResult(Exception):
    """The file is there and is not a result of this job; the message says why."""


class _Shape(BaseModel):
    # Strict: "1" is no number, and neither is true.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class AgentShape(_Shape):
    """One agent's part; solo and coop have the same keys."""

    status: Annotated[str, StringConstraints(pattern=r"\S")]
    cost: Cost
    steps: Count
    patch_lines: Count = 0
    error: Any = ""
    feature_id: Any = None


class ResultShape(_Shape):
    """`agent` of a solo run, `agents` of any other; costs in USD, durations in seconds."""

    repo: Any = None
    task_id: Any = None
    model: Any = None
    features: list[Any]
    agent: AgentShape | None = None
    agents: Annotated[dict[str, AgentShape], Field(min_length=1)] | None = None
    total_cost: Cost
    duration_seconds: Annotated[float, Field(ge=0, le=DURATION_LIMIT, allow_inf_nan=False)]
    messages_sent: Count = 0


def shaped(values: dict[str, Any]) -> ResultShape:
    """Raises NotAResult: a value is missing, of a wrong type or out of range; the message names the first."""
    try:
        return ResultShape.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise NotAResult(one_line(f"{place} in result.json: {first['msg']}, not {first['input']!r}")) from None
