"""What the preview service is told; it never leaves Examflow."""

from typing import Literal

from pydantic import BaseModel, Field

from shared.permission import Caller
from shared.texts import Name


class Sibling(BaseModel):
    """Another registered image of the same series and exam; what is not said here is as with the one asked for."""

    orthancInstanceId: str
    sopInstanceUID: str
    uploaders: list[str]
    digest: str | None
    modality: str | None


class InternalInstance(BaseModel):
    """What the preview service needs to know of an instance."""

    orthancInstanceId: str
    studyInstanceUID: str
    seriesInstanceUID: str
    sopInstanceUID: str
    state: str
    examenID: str | None
    principals: list[str] | None
    uploaders: list[str]
    digest: str | None
    modality: str | None
    epoch: int | None
    siblings: list[Sibling] = []


class VisibleQuestion(BaseModel):
    """What may this caller see, of a study or series or of all, told at which level."""

    sub: Name
    groups: list[Name] = []
    scopes: list[Name] = []
    level: Literal["study", "series", "instance"]
    study: Name | None = None
    series: Name | None = None
    most: int = Field(ge=1, le=50_000)

    def caller(self) -> Caller:
        """Who asks."""
        return Caller(self.sub, frozenset(self.scopes), tuple(self.groups))


class VisibleImage(BaseModel):
    """An image, or one that stands for the visible images of its study or series; `examenID` None: not one exam."""

    orthancInstanceId: str
    studyInstanceUID: str
    seriesInstanceUID: str
    sopInstanceUID: str
    digest: str | None
    modality: str | None
    examenID: str | None
    instanceCount: int
    seriesCount: int
    modalities: list[str]


class VisibleImages(BaseModel):
    """`more`: there are others that were not asked for."""

    items: list[VisibleImage]
    more: bool
