"""The upload service's settings."""

from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from shared.settings import ServiceSettings

MIB = 1024 * 1024


class Settings(ServiceSettings):
    """Environment variables `EXAMFLOW_...`; see shared/settings.py for the groups."""

    upload_limit: int = Field(2048 * MIB, ge=1, description="the largest file taken, in bytes")
    buffered_file: int = Field(MIB, description="a file up to this is held whole; a larger one flows through")
    header_limit: int = Field(8 * MIB, description="the largest DICOM header (all before the pixel data), in bytes")
    facility_zone: str = Field("UTC", description="the zone of DICOM times that carry no offset (IANA name)")

    @field_validator("facility_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        ZoneInfo(name)
        return name
