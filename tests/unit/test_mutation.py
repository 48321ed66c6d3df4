"""The program behind `make mutate-permissions`: it finds every check by itself, and takes it out."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.layout import REPO
from tests.mutation.__main__ import Switch, copy_with_switches
from tests.mutation.finding import PERMISSION, TOKENS, deciding
from tests.mutation.switching import Check, Switches
from tests.rights.reading import rows

SERVICE = Path("services/new_service/api.py")
NEW = '''
"""A service that did not exist before."""

from typing import Annotated

from fastapi import Depends

from shared.permission import Caller, may_see_exam
from shared.tokens import Scoped, require

Knower = Annotated[Caller, Depends(Scoped("secrets:know"))]


async def _known_to(caller: Caller, exam: object) -> bool:
    return exam is not None and may_see_exam(caller, exam.principals)


async def read_secret(name: str, caller: Knower) -> str:
    if not await _known_to(caller, name):
        raise KeyError
    require(caller, "secrets:tell")
    return name


async def read_other(caller: Annotated[Caller, Depends(Scoped("other"))], *, also: Knower) -> bool:
    return True


async def _inner(request: object) -> None:
    if request is None:
        raise Unauthenticated(why="nobody")


router = APIRouter(dependencies=[Depends(_inner), Depends(Scoped("third"))])
'''


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Check]]:
    """A copy of the product with switches, and its checks."""
    root = tmp_path_factory.mktemp("mutation") / "tree"
    return root, copy_with_switches(root)


def _found(source: str) -> tuple[list[str], str]:
    modules = {path: ast.parse((REPO / path).read_text()) for path in (PERMISSION, TOKENS)}
    modules[SERVICE] = ast.parse(source)
    switches = Switches(deciding(modules))
    switched = switches.put(SERVICE, modules[SERVICE])
    return [check.text for check in switches.checks], switched


def test_a_new_check_is_found_by_itself() -> None:
    found, switched = _found(NEW)
    assert sorted(found) == sorted(
        [
            "may_see_exam(caller, exam.principals)",
            "await _known_to(caller, name)",
            "require(caller, 'secrets:tell')",
            "read_secret(caller: Knower)",
            "read_other(caller: Annotated[Caller, Depends(Scoped('other'))])",
            "read_other(also: Knower)",
            "if request is None: raise",
            "Scoped('third')",
        ]
    )
    ast.parse(switched)
    assert switched.count("_taken_out.") == len(found)


def test_where_there_is_no_check_nothing_is_changed() -> None:
    found, switched = _found(
        '"""Nothing."""\nimport os\n\ndef has_room(caller: str) -> bool:\n    return caller in os.sep\n'
    )
    assert found == []
    assert "_taken_out" not in switched


def test_each_route_of_the_table_that_needs_a_scope_has_its_check(tree: tuple[Path, list[Check]]) -> None:
    # HEAD is answered by the function of GET.
    scoped = {row.route for row in rows() if row.expected["noscope"] == "403" and row.method != "HEAD"}
    assert len([check for check in tree[1] if check.how == "any scope will do"]) == len(scoped)


def test_the_products_checks_are_found(tree: tuple[Path, list[Check]]) -> None:
    places = {str(check.where) for check in tree[1]}
    assert {
        "shared/permission.py",
        "shared/tokens.py",
        "services/preview_service/access.py",
        "services/preview_service/signed.py",
        "services/preview_service/signed_api.py",
        "services/registration_service/by_http.py",
        "services/registration_service/fate.py",
        "services/registration_service/images.py",
        "services/registration_service/intake.py",
        "services/registration_service/internal_api.py",
        "services/registration_service/matching.py",
        "services/upload_service/stored_event.py",
        "services/upload_service/upload.py",
    } <= places
    clauses = {check.text for check in tree[1] if check.where == PERMISSION}
    assert {"caller.sub in uploaders", "caller.has(OPS)", "caller.has(ALL_EXAMS)", "f'user:{caller.sub}'"} <= clauses


QUESTIONS = """
from shared.permission import Caller, may_see_exam, may_see_instance, may_see_unregistered
from shared.tokens import require
alice, otto = Caller("alice", groups=("ward",)), Caller("otto", frozenset({"ops"}))
print(may_see_exam(alice, ["user:bob"]), may_see_exam(alice, ["user:alice"]), may_see_exam(alice, ["group:ward"]),
      may_see_unregistered(otto, []), may_see_instance(alice, None, []), end=" ")
try:
    print(require(alice, "ops"))
except Exception as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("text", "how", "answers"),
    [
        ("", "", "False True True True False ScopeMissing"),
        ("not principals_of(caller).isdisjoint(principals)", "says yes", "True True True True False ScopeMissing"),
        ("f'user:{caller.sub}'", "left out", "False False True True False ScopeMissing"),
        ("*(f'group:{group}' for group in caller.groups)", "left out", "False True False True False ScopeMissing"),
        ("caller.has(OPS)", "says no", "False True True False False ScopeMissing"),
        ("caller.sub in uploaders", "says yes", "False True True True True ScopeMissing"),
        ("scope in self.scopes", "says yes", "True True True True True None"),
    ],
)
def test_a_check_that_is_taken_out_is_out(
    tree: tuple[Path, list[Check]], tmp_path: Path, text: str, how: str, answers: str
) -> None:
    root, checks = tree
    chosen = [check.number for check in checks if (check.text, check.how, check.where) == (text, how, PERMISSION)][:1]
    switch = Switch(tmp_path / "switch")
    switch.turn(chosen[0] if text else 0)
    environment = {"EXAMFLOW_TAKEN_OUT": str(tmp_path / "switch"), "PYTHONPATH": str(root), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", QUESTIONS]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == answers
    assert set(chosen) <= switch.reached()
    assert switch.reached() == set()
