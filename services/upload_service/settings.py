"""The upload service's settings."""

from typing import Self

from pydantic import Field, model_validator

from services.upload_service.form import OVERHEAD
from services.upload_service.pace import PaceSettings
from services.upload_service.places import PlaceSettings
from services.upload_service.syntaxes import TAKEN, SyntaxUid
from shared.settings import FacilityZone, ServiceSettings

MIB = 1024 * 1024


class Settings(ServiceSettings):
    """Environment variables `EXAMFLOW_...`; see shared/settings.py for the groups."""

    upload_limit: int = Field(2048 * MIB, ge=1, description="the largest file taken, in bytes")
    buffered_file: int = Field(MIB, description="a file up to this is held whole; a larger one flows through")
    header_limit: int = Field(8 * MIB, description="the largest DICOM header (all before the pixel data), in bytes")
    inflated_limit: int = Field(64 * MIB, description="what a deflated data set may come to, in bytes")
    syntaxes_added: list[SyntaxUid] = Field([], description="transfer syntaxes taken beside those in syntaxes.py")
    syntaxes_refused: list[SyntaxUid] = Field([], description="transfer syntaxes of those that are not taken")
    pace: PaceSettings = PaceSettings()
    places: PlaceSettings = PlaceSettings()
    facility_zone: FacilityZone = "UTC"

    @property
    def syntaxes(self) -> frozenset[str]:
        """The transfer syntaxes that are taken."""
        return (frozenset(TAKEN) | frozenset(self.syntaxes_added)) - frozenset(self.syntaxes_refused)

    @model_validator(mode="after")
    def _largest_file_has_a_place(self) -> Self:
        largest = self.upload_limit + OVERHEAD + self.inflated_limit
        if largest > self.places.storing:
            raise ValueError(f"places.storing must be at least {largest}, or the largest file would never be taken")
        return self
