"""What a caller may see of all that is stored, as registration says: images, or one for each study or series."""

from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from services.preview_service.access import Access, Instance
from shared.errors import InstanceUnknown, RegistrationAway
from shared.permission import ALL_EXAMS, Caller

Level = Literal["study", "series", "instance"]


class Seen(BaseModel):
    """An image; or one that stands for the visible ones of its study or series, with how many there are."""

    orthanc_id: str = Field(alias="orthancInstanceId")
    study: str = Field(alias="studyInstanceUID")
    series: str = Field(alias="seriesInstanceUID")
    sop: str = Field(alias="sopInstanceUID")
    digest: str | None
    modality: str | None
    exam_id: str | None = Field(alias="examenID")
    instance_count: int = Field(alias="instanceCount")
    series_count: int = Field(alias="seriesCount")
    modalities: list[str]

    def uid(self, level: Level) -> str:
        """Its own, or that of its study or series."""
        return {"study": self.study, "series": self.series, "instance": self.sop}[level]

    def instance(self) -> Instance:
        """The image."""
        digest, modality = self.digest or self.orthanc_id, self.modality or "UNKNOWN"
        return Instance(self.orthanc_id, self.study, self.series, self.sop, digest, modality, self.exam_id)


class Visible(BaseModel):
    """`more`: there are others that were not asked for."""

    items: list[Seen]
    more: bool


async def visible(
    access: Access, caller: Caller, level: Level, *, study: str | None, series: str | None, most: int
) -> Visible:
    """At most so many, the newest studies and series first. Asked anew each time. Raises RegistrationAway."""
    who = {"sub": caller.sub, "groups": list(caller.groups), "scopes": sorted(caller.scopes)}
    told = await access.ask(
        "/internal/visible", {**who, "level": level, "study": study, "series": series, "most": most}
    )
    try:
        return Visible.model_validate_json(told)
    except ValidationError as error:
        raise RegistrationAway from error


async def images_of(access: Access, caller: Caller, study: str, series: str | None, most: int) -> Visible:
    """The images of a study or series, each SOP instance once. Raises InstanceUnknown where there is none to see."""
    found = await visible(access, caller, "instance", study=study, series=series, most=most)
    if not found.items:
        await _refuse(access, caller, study, series)
    once = {image.sop: image for image in reversed(found.items)}  # the registered one comes first
    return Visible.model_construct(items=list(reversed(once.values())), more=found.more)


async def _refuse(access: Access, caller: Caller, study: str, series: str | None) -> None:
    """The same words for what is not there and what is another's; the audit trail is told which."""
    everybody = Caller(caller.sub, frozenset({ALL_EXAMS}))
    found = await visible(access, everybody, "instance", study=study, series=series, most=1)
    if found.items:
        raise InstanceUnknown().hiding(found.items[0].exam_id, series or study)
    raise InstanceUnknown
