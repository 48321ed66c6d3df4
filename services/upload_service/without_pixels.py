"""SOP classes whose files have no pixel data (PS3.6 A): contours, documents, reports, waveforms, raw data, states.

Such a file is no header with an image behind it but all data, and may be large: an RT structure set of 30 MB, a scanned
letter of 20 MB. Once the tags that the gate reads are behind, it flows on to Orthanc as pixels do.
"""

FLOWS_FROM = 1024 * 1024  # bytes of the data set that are held before it flows
_STORAGE = "1.2.840.10008.5.1.4.1.1."
# Waveforms, presentation states, structured reports, encapsulated documents.
_BRANCHES = tuple(_STORAGE + branch for branch in ("9.", "11.", "88.", "104."))
# MR spectroscopy, raw data, registrations and fiducials, surfaces and tracts; of radiotherapy what is not an image.
_RT = (f"481.{number}" for number in range(3, 10))
_CLASSES = {_STORAGE + name for name in ("4.2", "66", "66.1", "66.2", "66.3", "66.5", "66.6", *_RT)}


def has_no_pixels(sop_class: str) -> bool:
    """Whether files of this class have no pixel data. Of an unknown or private class, they may have."""
    return sop_class in _CLASSES or sop_class.startswith(_BRANCHES)
