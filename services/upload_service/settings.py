"""The upload service's settings."""

from pydantic import Field

from shared.settings import FacilityZone, ServiceSettings

MIB = 1024 * 1024


class Settings(ServiceSettings):
    """Environment variables `EXAMFLOW_...`; see shared/settings.py for the groups."""

    upload_limit: int = Field(2048 * MIB, ge=1, description="the largest file taken, in bytes")
    buffered_file: int = Field(MIB, description="a file up to this is held whole; a larger one flows through")
    header_limit: int = Field(8 * MIB, description="the largest DICOM header (all before the pixel data), in bytes")
    facility_zone: FacilityZone = "UTC"
