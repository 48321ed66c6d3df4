"""A service's settings at its start: it does not start on wrong or weak ones, and says why in a sentence for each."""

import ssl
from collections.abc import Iterator
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from shared.secret_files import SettingsRefused, variable
from shared.settings import PREFIX, ServiceSettings
from shared.tls import Dependency
from shared.weak_secrets import complaints

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def read_settings(kind: type[SettingsT]) -> SettingsT:
    """The settings of the environment. Where they are wrong the process ends, and standard error tells why."""
    try:
        settings = kind()
    except (SettingsRefused, SettingsError) as error:
        raise SystemExit(f"The service does not start: {error}") from None
    except ValidationError as error:
        raise SystemExit("\n".join(_invalid(error))) from None
    told = list(_authorities(settings))
    if settings.profile != "local":
        told += [_weak(variable(path, PREFIX), why) for path, why in complaints(settings)]
    if told:
        raise SystemExit("\n".join(told))
    return settings


def _authorities(settings: ServiceSettings) -> Iterator[str]:
    """What is wrong with the files of those who vouch for servers."""
    groups = ((name, group) for name, group in settings if isinstance(group, Dependency))
    own = [((name, "ca_file"), group.ca_file) for name, group in groups if group.ca_file != settings.ca_file]
    for path, file in (*own, (("ca_file",), settings.ca_file)):
        try:
            Dependency(ca_file=file).tls()
        except ssl.SSLError:
            why = "holds no certificate in PEM"
        except OSError as error:
            why = f"cannot be read ({error.strerror})"
        else:
            continue
        yield f"The service does not start: {variable(path, PREFIX)} names the file {file}, which {why}."


def _invalid(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_input=False, include_context=False, include_url=False):
        yield f"The service does not start: {variable(problem['loc'], PREFIX)}: {problem['msg']}."


def _weak(name: str, why: str) -> str:
    return (
        f"The service does not start: {name} {why}. Make one with 'openssl rand -hex 20'; "
        f"{PREFIX}PROFILE=local takes weak ones, on a machine where nobody's images are."
    )
