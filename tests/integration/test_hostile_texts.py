"""DICOM texts that would harm a database, a terminal or a page: what comes past the gate by C-STORE."""

import pytest

from tests.integration import given
from tests.integration.reconciling import Reconciling, as_uploaded, image, parked


@pytest.mark.parametrize("text", ["A\x1b[2J1", "A\u202e1", "A\u200b1", "A\x7f1"], ids=ascii)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's writer finds them wrong as well
async def test_a_harmful_accession_number_is_left_out(reconciler: Reconciling, text: str) -> None:
    """It matches no exam, and the image waits as one that names none."""
    orthanc_id = reconciler.put(image(text, SpecificCharacterSet="ISO_IR 192"))
    await reconciler.run()
    [event] = reconciler.registration.about(orthanc_id)
    assert (event.data.accession_number, event.data.modality) == (None, "CT")
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert (entry.state, entry.code, entry.accession_number) == ("waiting", "no-exam-named", None)


@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_an_identifier_that_names_nothing_is_refused(reconciler: Reconciling) -> None:
    orthanc_id = reconciler.put(image(StudyInstanceUID="1.2.\x1b[2J"))
    await reconciler.run()
    entry = await reconciler.entry(orthanc_id)
    assert entry is not None
    assert (entry.state, entry.code) == ("refused", "unusable-identifiers")
    assert "\x1b" not in entry.study_instance_uid + (entry.reason or "")


async def test_a_parked_context_that_does_harm_is_not_taken(reconciler: Reconciling) -> None:
    """Only Orthanc's administrator could have written it; the image itself is told of all the same."""
    orthanc_id = reconciler.put(image())
    event = parked(as_uploaded(orthanc_id, given.name(), description="knee"))
    reconciler.park(event)
    text = event.model_dump_json(by_alias=True).replace("knee", "kn\\u0000ee")
    reconciler.admin.put(f"/instances/{orthanc_id}/metadata/1024", content=text).raise_for_status()
    await reconciler.run()
    assert await reconciler.state(orthanc_id) == "waiting"
    [told] = reconciler.registration.about(orthanc_id)
    assert told.data.context.examen_id is None
