"""A modality: images by C-STORE over several associations."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from deploy.local.system import System
from tests.chaos.images import Image
from tests.integration.reconciling import store_scu

TRIES = 3


@contextlib.contextmanager
def storing(system: System, some: Sequence[Image], associations: int) -> Iterator[None]:
    """It sends them meanwhile; at the end of the block Orthanc has taken all."""
    with ThreadPoolExecutor(associations) as pool:
        parts = [some[part::associations] for part in range(associations)]
        sending = [pool.submit(_store, system, part) for part in parts if part]
        yield
    for one in sending:
        one.result()


def _store(system: System, some: Sequence[Image]) -> None:
    """One that was refused sends all of them again: Orthanc may fail while it tidies up after a double."""
    for left in reversed(range(TRIES)):
        try:
            return store_scu(system, (image.content for image in some))
        except subprocess.CalledProcessError:
            if not left:
                raise
    raise AssertionError("unreachable: the last attempt raises")
