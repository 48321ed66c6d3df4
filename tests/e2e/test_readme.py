"""The README's curl lines work as pasted: this reads them and runs them against the running system."""

import os
import re
import subprocess
from pathlib import Path

from tests.running import Running

REPO = Path(__file__).parents[2]


def test_the_curl_lines_work_as_pasted(running: Running, tmp_path: Path) -> None:
    block = re.search(r"```bash\n(.*?)```", (REPO / "README.md").read_text(), re.DOTALL)
    assert block
    for name in ("Makefile", "deploy", ".venv", "requirements-dev.txt", "pyproject.toml"):
        (tmp_path / name).symlink_to(REPO / name)
    # Only the address is another one, and every answer must be a success.
    pasted = block[1].replace("http://localhost:8080", running.env["EXAMFLOW_URL"]).replace("curl -sS ", "curl -sSf ")
    environment = os.environ | {"EXAMFLOW_ROOT": str(running.root)}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", pasted],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"state":"registered"' in done.stdout
    assert '"description":"Scanner thoracique sans injection"' in done.stdout
    assert (tmp_path / "preview.jpg").read_bytes().startswith(b"\xff\xd8")
    assert (tmp_path / "image.dcm").read_bytes()[128:132] == b"DICM"
