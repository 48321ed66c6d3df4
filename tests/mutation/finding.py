"""Which functions decide about rights, found by what they call: nothing is listed by hand but the files they begin in.

A checker says yes or no: the functions that return a bool in shared/permission.py and where URLs are signed, and what
returns a bool and asks one of them. A guard raises: a function of shared/tokens.py that asks a checker and returns
nothing. A dependency is what a route has from FastAPI. An alias is a name for `Annotated[..., Depends(Scoped(...))]`.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PERMISSION = Path("shared/permission.py")
SIGNED = Path("services/preview_service/signed.py")
TOKENS = Path("shared/tokens.py")
SCOPED = "Scoped"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Deciding:
    """Their names; one name is one thing in the whole product."""

    checkers: set[str] = field(default_factory=set)
    guards: set[str] = field(default_factory=set)
    dependencies: set[str] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)

    def asks(self, node: ast.AST) -> bool:
        """Whether a checker is asked anywhere in it."""
        return any(called(part) in self.checkers for part in ast.walk(node))


def called(node: ast.AST) -> str:
    """The name of what is called, without what it belongs to; empty where the node is no call."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def calls(node: ast.AST, name: str) -> bool:
    """Whether it is called anywhere in the node."""
    return any(called(part) == name for part in ast.walk(node))


def deciding(modules: dict[Path, ast.Module]) -> Deciding:
    """All of them in these modules."""
    found = Deciding()
    beginning = [modules[where] for where in (PERMISSION, SIGNED) if where in modules]
    found.checkers |= {f.name for f in _functions(beginning) if _returns(f, "bool")}
    functions = list(_functions(modules.values()))
    while more := {f.name for f in functions if _returns(f, "bool") and found.asks(f)} - found.checkers:
        found.checkers |= more
    found.guards |= {
        f.name
        for f in _functions([modules[TOKENS]])
        if _returns(f, "None") and not f.name.startswith("_") and found.asks(f)
    }
    for module in modules.values():
        for node in ast.walk(module):
            if called(node) == "Depends" and isinstance(node, ast.Call) and node.args:
                found.dependencies |= {node.args[0].id} if isinstance(node.args[0], ast.Name) else set()
        for statement in module.body:
            if isinstance(statement, ast.Assign) and _is_annotated(statement.value) and calls(statement.value, SCOPED):
                found.aliases |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return found


def _functions(modules: Iterable[ast.Module]) -> Iterator[Function]:
    for module in modules:
        yield from (node for node in ast.walk(module) if isinstance(node, Function))


def _returns(function: Function, kind: str) -> bool:
    return function.returns is not None and ast.unparse(function.returns) == kind


def _is_annotated(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated"
