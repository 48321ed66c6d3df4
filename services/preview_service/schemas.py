"""The JSON that the preview service answers."""

from pydantic import BaseModel, Field


class Frames(BaseModel):
    """The frames of an instance: how many, and the size of their pictures in pixels."""

    count: int = Field(ge=1, examples=[1])
    width: int = Field(ge=1, examples=[512])
    height: int = Field(ge=1, examples=[512])
