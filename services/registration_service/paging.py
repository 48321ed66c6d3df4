"""Places in a list that is ordered by a moment and an id, as the cursors that its pages carry."""

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated

from pydantic import Field

from shared.errors import FieldError, InvalidInput
from shared.texts import is_name

Cursor = Annotated[str, Field(pattern="^[A-Za-z0-9_=-]*$")]


def cursor_of(moment: datetime, identity: str) -> str:
    """The cursor of a row: the next page begins behind it."""
    return base64.urlsafe_b64encode(json.dumps([moment.isoformat(), identity]).encode()).decode()


def place_of(cursor: str) -> tuple[datetime, str]:
    """The row that a cursor means; raises InvalidInput for what is none."""
    try:
        said, identity = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(said)
    except (ValueError, TypeError, binascii.Error):
        moment, identity = None, None
    if moment is None or moment.tzinfo is None or not is_name(identity):
        field = FieldError("cursor", "is not one that this list gave", "n'est pas un curseur donné par cette liste")
        raise InvalidInput([field])
    return moment, identity
