"""The events that the retrain function takes."""

from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from adbid.domain.errors import Invalid


class Retrain(BaseModel):
    """Learn from the month before `until` (default: now), and publish the result if it is no worse."""

    model_config = ConfigDict(frozen=True)

    action: Literal["retrain"] = "retrain"
    until: AwareDatetime | None = None


class Rollback(BaseModel):
    """Serve a version that was published before."""

    model_config = ConfigDict(frozen=True)

    action: Literal["rollback"]
    version: Annotated[str, StringConstraints(min_length=1, max_length=64)]


_EVENT: TypeAdapter[Retrain | Rollback] = TypeAdapter(
    Annotated[Retrain | Rollback, Field(discriminator="action")]
)


def read_event(event: dict[str, Any]) -> Retrain | Rollback:
    """An event without an action is the schedule's. Raises Invalid."""
    try:
        return _EVENT.validate_python({"action": "retrain", **event})
    except ValidationError as error:
        wrong = "; ".join(f"{e['loc'][-1] if e['loc'] else 'event'}: {e['msg']}" for e in error.errors())
        raise Invalid("bad_event", wrong) from None
