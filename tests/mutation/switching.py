"""Puts a switch into each check of one module, so that it can be taken out while the services run."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.mutation.finding import PERMISSION, SCOPED, Deciding, Function, called, calls

_SWITCH = "_taken_out"
_REFUSALS = ("Unauthenticated", "ScopeMissing", "NotInternal", "_refused")
N = TypeVar("N", bound=ast.AST)


@dataclass(frozen=True)
class Check:
    """One check, and what taking it out means."""

    number: int
    where: Path
    line: int
    text: str
    how: str

    def __str__(self) -> str:
        return f"{self.where}:{self.line}  {self.text}  [{self.how}]"


class Switches(ast.NodeTransformer):
    """Numbers the checks of the modules that it visits, from 1 on."""

    def __init__(self, deciding: Deciding) -> None:
        self.checks: list[Check] = []
        self._deciding = deciding
        self._where = Path()
        self._function: list[str] = []

    def put(self, where: Path, module: ast.Module) -> str:
        """The module's source with switches in it; as it was where there is no check."""
        self._where = where
        before = len(self.checks)
        module = ast.fix_missing_locations(self.visit(module))
        if len(self.checks) > before:
            place = next((i for i, node in enumerate(module.body) if isinstance(node, ast.Import | ast.ImportFrom)), 1)
            imported = ast.parse(f"from shared import taken_out as {_SWITCH}").body
            module.body[place:place] = imported
        return ast.unparse(module)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._in_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._in_function(node)

    def _in_function(self, node: Function) -> ast.AST:
        """A route's parameter whose annotation says which scope is needed; then the body."""
        for argument in (*node.args.args, *node.args.kwonlyargs):
            told = argument.annotation
            named = isinstance(told, ast.Name) and told.id in self._deciding.aliases
            if told is not None and (named or calls(told, SCOPED)):
                number = self._number(told, "any scope will do", f"{node.name}({ast.unparse(argument)})")
                argument.annotation = _call("opened", number, told)
        self._function.append(node.name)
        node.body = [self.visit(statement) for statement in node.body]
        self._function.pop()
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """An alias is left whole: each of its uses is a check."""
        if any(isinstance(target, ast.Name) and target.id in self._deciding.aliases for target in node.targets):
            return node
        return self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        if called(node.value) in self._deciding.checkers:
            self.generic_visit(node.value)  # its own switch stands around the await
            return self._let_in(node, node)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = called(node)
        before = ast.unparse(node)
        self.generic_visit(node)
        if name in self._deciding.checkers or name in self._deciding.guards:
            return self._let_in(node, node, before)
        if name == SCOPED:
            return _call("scoped", self._number(node, "any scope will do", before), node)
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        """A dependency that refuses by itself; and, where rights are decided, each condition."""
        whole = ast.unparse(node.test)
        line = node.test
        asked = self._deciding.asks(node.test)
        self.generic_visit(node)
        refuses = isinstance(node.body[0], ast.Raise) and _raised(node.body[0]) in _REFUSALS
        if refuses and not asked and self._function[-1:] and self._function[-1] in self._deciding.dependencies:
            node.test = self._left_out(node.test, line, f"if {whole}: raise", "does not refuse")
        elif self._where == PERMISSION:
            node.test = self._left_out(node.test if asked else self._let_in(node.test, line, whole), line, whole)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        if self._where != PERMISSION:
            return self.generic_visit(node)
        node.values = [self._clause(value) for value in node.values]
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if self._where != PERMISSION or node.value is None or isinstance(node.value, ast.BoolOp | ast.Constant):
            return self.generic_visit(node)
        node.value = self._clause(node.value)
        return node

    def visit_Set(self, node: ast.Set) -> ast.AST:
        """Each name by which one may be a principal."""
        if self._where == PERMISSION:
            node.elts = [self._name(element) for element in node.elts]
        return node

    def _clause(self, value: ast.expr) -> ast.expr:
        """Two ways to take it out: it says yes, and it says no."""
        text, asks = ast.unparse(value), called(value) in self._deciding.checkers
        switched = self.visit(value)
        return self._left_out(switched if asks else self._let_in(switched, value, text), value, text)

    def _name(self, element: ast.expr) -> ast.expr:
        number = self._number(element, "left out", ast.unparse(element))
        inner = element.value if isinstance(element, ast.Starred) else ast.Tuple([element], ast.Load())
        kept = ast.IfExp(_out(number), ast.Tuple([], ast.Load()), inner)
        return ast.Starred(kept, ast.Load())

    def _let_in(self, node: ast.expr, origin: ast.AST, text: str = "") -> ast.expr:
        number = self._number(origin, "says yes", text or ast.unparse(origin))
        return ast.BoolOp(ast.Or(), [_out(number), node])

    def _left_out(self, node: ast.expr, origin: ast.AST, text: str, how: str = "says no") -> ast.expr:
        number = self._number(origin, how, text)
        return ast.BoolOp(ast.And(), [ast.UnaryOp(ast.Not(), _out(number)), node])

    def _number(self, node: ast.AST, how: str, text: str) -> int:
        number = len(self.checks) + 1
        self.checks.append(Check(number, self._where, getattr(node, "lineno", 0), " ".join(text.split()), how))
        return number


def _raised(node: ast.Raise) -> str:
    if isinstance(node.exc, ast.Name):
        return node.exc.id
    return called(node.exc) if node.exc else ""


def _out(number: int) -> ast.expr:
    return _call("out", number)


def _call(name: str, number: int, *arguments: ast.expr) -> ast.Call:
    function = ast.Attribute(ast.Name(_SWITCH, ast.Load()), name, ast.Load())
    return ast.Call(function, [ast.Constant(number), *arguments], [])


def sources(root: Path) -> Iterator[Path]:
    """The product's Python files below the root of a tree, by their paths there."""
    for folder in ("services", "shared"):
        yield from sorted(path.relative_to(root) for path in (root / folder).rglob("*.py"))
