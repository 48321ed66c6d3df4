"""The example of docs/partners.md works as it stands there: this reads it and runs it as a partner of its own."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

from tests.integration.partners import partner
from tests.integration.reconciling import image
from tests.running import Running, registered, upload

PAGE = Path(__file__).parents[2] / "docs" / "partners.md"


def test_the_example_opens_an_exam_and_hears_of_its_image(running: Running) -> None:
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block
    exam, accession = f"EX-{uuid.uuid4().hex[:12]}", f"A-{uuid.uuid4().hex[:12]}"
    alice = running.client()
    waiting = upload(alice, image(accession)).json()["data"]
    assert registered(alice, waiting["ID"], "waiting")["code"] == "accession-unknown"
    with partner(running.env) as made:
        told = {"AMQP_URL": made.url, "EXAM": exam, "ACCESSION": accession}
        done = subprocess.run(
            [sys.executable, "-c", block[1]],
            env=os.environ | told,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    sop = waiting["SOPInstanceUID"]
    assert done.stdout == f"registered: {sop} /dicom/wado/{sop}\n"
    assert registered(alice, waiting["ID"])["state"] == "registered"
