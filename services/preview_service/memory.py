"""Pictures in memory: the least used are forgotten first."""

from collections import OrderedDict

from services.preview_service.view import Key, Picture


class Memory:
    """At most so many bytes of pictures."""

    def __init__(self, largest_bytes: int) -> None:
        self._largest = largest_bytes
        self._kept: OrderedDict[Key, Picture] = OrderedDict()
        self.bytes = 0

    def find(self, key: Key) -> Picture | None:
        """The picture, if it is here."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: Key, picture: Picture) -> int:
        """Keep a picture, unless it is larger than all that fits; how many others were forgotten for it."""
        self.forget(key)
        if len(picture.content) > self._largest:
            return 0
        self._kept[key] = picture
        self.bytes += len(picture.content)
        before = len(self._kept)
        while self.bytes > self._largest:
            self.forget(next(iter(self._kept)))
        return before - len(self._kept)

    def forget(self, key: Key) -> None:
        """Forget one picture."""
        found = self._kept.pop(key, None)
        if found is not None:
            self.bytes -= len(found.content)

    def purge(self, digest: str) -> None:
        """Forget every picture of a file."""
        for key in [key for key in self._kept if key.digest == digest]:
            self.forget(key)
