"""QIDO-RS (PS3.18, 8.3 and 10.6): Orthanc searches, and only what the caller may see is told.

Who sees all is answered as Orthanc answers. For others the question goes the other way round: what they may see is
known first, and Orthanc looks among that, so that a page is full and no search tells of what is not theirs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from services.preview_service.access import Access
from services.preview_service.dicomweb.attributes import MODALITIES, included, told
from services.preview_service.dicomweb.identity import PATIENT_ID, SERIES, SOP, STUDY, orthanc_id, text
from services.preview_service.dicomweb.places import Places
from services.preview_service.dicomweb.source import Item, Source
from services.preview_service.dicomweb.visible import Level, Seen, visible
from services.preview_service.settings import DicomwebSettings
from shared.orthanc_http import Params
from shared.permission import ALL_EXAMS, Caller

_PATHS = {"study": "studies", "series": "series", "instance": "instances"}
_UIDS = {
    "study": (STUDY, "StudyInstanceUID"),
    "series": (SERIES, "SeriesInstanceUID"),
    "instance": (SOP, "SOPInstanceUID"),
}
# What Orthanc counts over all images of a study or series, those too that the caller may not see.
_STUDY_SERIES, _STUDY_INSTANCES, _SERIES_INSTANCES = "00201206", "00201208", "00201209"


@dataclass(frozen=True)
class Asked:
    """A search: attributes to match, further ones to tell, and which part of the results."""

    level: Level
    limit: int
    offset: int
    study: str | None = None
    series: str | None = None
    matching: dict[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ()

    def params(self, **more: str | int) -> Params:
        """For Orthanc. Results are told apart by patient, so it is always asked for that too."""
        uids = {"StudyInstanceUID": self.study, "SeriesInstanceUID": self.series}
        named = {name: uid for name, uid in uids.items() if uid}
        return {**self.matching, **named, "includefield": [PATIENT_ID, *included(self.level, self.include)], **more}

    def uids(self, level: Level) -> frozenset[str]:
        """Those of a level that are asked for by name; none: any."""
        return self._listed(_UIDS[level])

    def modalities(self) -> frozenset[str]:
        """Those of which a study is to have one; none: any."""
        return self._listed((MODALITIES, "ModalitiesInStudy"))

    def _listed(self, names: tuple[str, str]) -> frozenset[str]:
        wanted = [value for name, value in self.matching.items() if name in names and "*" not in value]
        return frozenset(one for value in wanted for one in value.replace("\\", ",").split(",") if one)

    def one_study(self) -> str | None:
        """The only study that it can be about."""
        named = self.uids("study")
        return self.study or (next(iter(named)) if len(named) == 1 else None)


@dataclass(frozen=True)
class Found:
    """Results, and whether there are others behind them."""

    items: list[Item]
    more: bool


class Search:
    """One instance serves all requests."""

    def __init__(self, access: Access, source: Source, settings: DicomwebSettings) -> None:
        self._access = access
        self._source = source
        self._settings = settings
        self._places = Places(settings.at_once, settings.patience_seconds)

    async def find(self, caller: Caller, asked: Asked) -> Found:
        """The part of the results that is asked for. Raises as Source.search, RegistrationAway or RendersFull."""
        async with self._places.taken():
            return await self._found(caller, asked)

    async def _found(self, caller: Caller, asked: Asked) -> Found:
        if caller.has(ALL_EXAMS):
            params = asked.params(limit=asked.limit + 1, offset=asked.offset)
            items = await self._source.search(_PATHS[asked.level], params)
            return Found(items[: asked.limit], len(items) > asked.limit)
        known = await visible(
            self._access,
            caller,
            asked.level,
            study=asked.one_study(),
            series=asked.series,
            most=self._settings.visible,
        )
        wanted = asked.offset + asked.limit
        items = []
        for some in self._chunks(asked, known.items):
            items += await self._among(caller, asked, some)
            if len(items) > wanted:
                break
        return Found(items[asked.offset : wanted], len(items) > wanted or known.more)

    def _chunks(self, asked: Asked, known: Sequence[Seen]) -> Iterator[list[Seen]]:
        wanted, modalities = asked.uids(asked.level), asked.modalities()
        fitting = [seen for seen in known if not wanted or seen.uid(asked.level) in wanted]
        if modalities and asked.level == "study":  # Orthanc would look at what the caller may not see, too
            fitting = [seen for seen in fitting if not modalities.isdisjoint(seen.modalities)]
        for begin in range(0, len(fitting), self._settings.uids_at_once):
            yield fitting[begin : begin + self._settings.uids_at_once]

    async def _among(self, caller: Caller, asked: Asked, some: Sequence[Seen]) -> list[Item]:
        """What of these Orthanc finds, and is the caller's indeed."""
        tag, name = _UIDS[asked.level]
        uids = ",".join(dict.fromkeys(seen.uid(asked.level) for seen in some))
        replaced = {tag, name, *((MODALITIES, "ModalitiesInStudy") if asked.level == "study" else ())}
        matching = {key: value for key, value in asked.params().items() if key not in replaced}
        items = []
        for item in await self._source.search(_PATHS[asked.level], {**matching, name: uids}):
            images = [seen for seen in some if seen.uid(asked.level) == text(item, tag)]
            if not images:
                continue  # not what was asked for
            own = [seen for seen in images if _is_of(seen, item, asked.level)] or await self._looked_up(
                caller, asked, item
            )
            if own:
                items.append(told(asked.level, _as_seen(item, asked.level, own)))
        place = {seen.uid(asked.level): number for number, seen in enumerate(some)}
        return sorted(items, key=lambda item: place[text(item, tag)])  # Orthanc has an order of its own

    async def _looked_up(self, caller: Caller, asked: Asked, item: Item) -> list[Seen]:
        """Of two patients' studies with the same UID, the image that stands for the UID may be of the other one."""
        if asked.level == "instance":
            return []
        series = text(item, SERIES) if asked.level == "series" else None
        images = await visible(
            self._access, caller, "instance", study=text(item, STUDY), series=series, most=self._settings.images
        )
        return [seen for seen in images.items if _is_of(seen, item, asked.level)]


def _is_of(seen: Seen, item: Item, level: Level) -> bool:
    """Whether the image is the result, or in it: of that patient, and under each of its UIDs."""
    uids = {
        "study": (seen.study,),
        "series": (seen.study, seen.series),
        "instance": (seen.study, seen.series, seen.sop),
    }
    if any(text(item, tag) != uid for tag, uid in zip((STUDY, SERIES, SOP), uids[level], strict=False)):
        return False
    return seen.orthanc_id == orthanc_id(text(item, PATIENT_ID), seen.study, seen.series, seen.sop)


def _as_seen(item: Item, level: Level, own: Sequence[Seen]) -> Item:
    """The result, with the counts of what the caller may see: of the one that stands for all, or of each image."""
    if level == "instance":
        return item
    instances = sum(seen.instance_count for seen in own)
    series = own[0].series_count if len(own) == 1 else len({seen.series for seen in own})
    modalities = sorted({modality for seen in own for modality in (*seen.modalities, seen.modality) if modality})
    counts = {
        MODALITIES: {"vr": "CS", "Value": modalities},
        _STUDY_SERIES: {"vr": "IS", "Value": [series]},
        _STUDY_INSTANCES: {"vr": "IS", "Value": [instances]},
        _SERIES_INSTANCES: {"vr": "IS", "Value": [instances]},
    }
    return item | {tag: value for tag, value in counts.items() if tag in item}
