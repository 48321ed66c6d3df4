"""The JSON that the preview service takes and answers."""

from typing import Literal

from pydantic import BaseModel, Field

from services.preview_service.view import View
from shared.timestamps import Timestamp


class Frames(BaseModel):
    """The frames of an instance: how many, and the size of their pictures in pixels."""

    count: int = Field(ge=1, examples=[1])
    width: int = Field(ge=1, examples=[512])
    height: int = Field(ge=1, examples=[512])


class PictureToShare(BaseModel):
    """Which picture a signed URL is to show; the limits are the preview's."""

    quality: int = Field(90, ge=1, le=100)
    frame: int = Field(1, ge=1, le=1_000_000)
    width: int | None = Field(None, ge=1, le=2048)
    height: int | None = Field(None, ge=1, le=2048)
    contentType: Literal["image/jpeg", "image/png"] = "image/jpeg"

    def view(self) -> View:
        """The same as the rest of the service has it."""
        return View(self.frame, self.quality, self.width, self.height, self.contentType)


class SignedUrl(BaseModel):
    """A signed URL: a path of the gateway, or the whole where a public one is set; and when it ends."""

    url: str = Field(examples=["/dicom/signed/Xb.../2991c996-....1.90.0.0.1767225600.Ki....jpeg"])
    expiresAt: Timestamp
