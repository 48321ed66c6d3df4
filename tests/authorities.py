"""Authorities that vouch for servers, and servers' certificates by them, as files."""

from dataclasses import dataclass
from pathlib import Path

import trustme

RIGHT_NAME = "localhost"  # 127.0.0.1 is then a wrong one


@dataclass(frozen=True)
class Vouched:
    """A certificate for RIGHT_NAME with its key, by the authority `ca`; and another authority, who knows nothing."""

    ca: Path
    other_ca: Path
    certificate: Path
    key: Path


def vouched(folder: Path, name: str = RIGHT_NAME) -> Vouched:
    """New ones, below the folder."""
    right, other = trustme.CA(), trustme.CA()
    made = right.issue_cert(name)
    files = Vouched(*(folder / f"{file}.pem" for file in ("ca", "other-ca", "certificate", "key")))
    right.cert_pem.write_to_path(files.ca)
    other.cert_pem.write_to_path(files.other_ca)
    for number, blob in enumerate(made.cert_chain_pems):
        blob.write_to_path(files.certificate, append=number > 0)
    made.private_key_pem.write_to_path(files.key)
    return files
