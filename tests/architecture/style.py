"""The project's style figures, measured on the syntax tree: nothing is imported or run."""

import ast
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Figures:
    """What was counted in some source files."""

    file_lines: list[int] = field(default_factory=list)
    function_lines: list[int] = field(default_factory=list)
    many_arguments: list[str] = field(default_factory=list)
    undocumented_modules: list[str] = field(default_factory=list)
    public: int = 0
    undocumented: list[str] = field(default_factory=list)
    untyped: list[str] = field(default_factory=list)
    smells: list[str] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """Physical lines of all files."""
        return sum(self.file_lines)

    def file_percentile(self, share: float) -> int:
        """The length in lines that `share` of the files do not exceed."""
        ordered = sorted(self.file_lines)
        return ordered[ceil(share * len(ordered)) - 1]

    @property
    def file_median(self) -> float:
        """Median lines a file."""
        return statistics.median(self.file_lines)

    @property
    def long_functions(self) -> float:
        """Share of functions longer than 60 lines."""
        return sum(lines > 60 for lines in self.function_lines) / len(self.function_lines)


def measure(files: Iterable[Path]) -> Figures:
    """Count over the given files; empty ones are left out."""
    figures = Figures()
    for path in files:
        text = path.read_text(encoding="utf-8")
        if not text.strip():
            continue
        tree = ast.parse(text, str(path))
        figures.file_lines.append(len(text.splitlines()))
        if ast.get_docstring(tree) is None:
            figures.undocumented_modules.append(str(path))
        for statement in tree.body:
            if _works_at_import(statement):
                figures.smells.append(f"{path}:{statement.lineno} works at import")
        for node in ast.walk(tree):
            figures.smells += [f"{path}:{node.lineno} {smell}" for smell in _smells(node, "cli" in path.parts)]
            if isinstance(node, Function):
                _count_function(node, f"{path}:{node.lineno} {node.name}", figures)
        for definition in _public(tree):
            figures.public += 1
            if ast.get_docstring(definition) is None:
                figures.undocumented.append(f"{path}:{definition.lineno} {definition.name}")
    return figures


def _count_function(function: Function, where: str, figures: Figures) -> None:
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    if named and named[0].arg in ("self", "cls"):
        named = named[1:]
    starred = [extra for extra in (function.args.vararg, function.args.kwarg) if extra]
    figures.function_lines.append((function.end_lineno or function.lineno) - function.lineno + 1)
    if len(named) > 7:
        figures.many_arguments.append(where)
    returns = function.returns is not None or function.name == "__init__"
    if not returns or any(argument.annotation is None for argument in named + starred):
        figures.untyped.append(where)


def _public(node: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """Functions and classes that others may use: no leading underscore, not inside a function."""
    for child in node.body:
        if isinstance(child, Function | ast.ClassDef) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from _public(child)


def _works_at_import(statement: ast.stmt) -> bool:
    call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return call or isinstance(statement, ast.For | ast.While | ast.With)


def _smells(node: ast.AST, in_cli: bool) -> Iterator[str]:
    match node:
        case ast.ExceptHandler(type=None):
            yield "bare except"
        case ast.ExceptHandler(type=ast.Name(id="Exception" | "BaseException"), body=[ast.Pass()]):
            yield "swallowed exception"
        case ast.ImportFrom(names=[ast.alias(name="*")]):
            yield "star import"
        case ast.Assert():
            yield "assert"
        case ast.Global():
            yield "global"
        case ast.Call(func=ast.Name(id="print")) if not in_cli:
            yield "print outside cli"
        case ast.Call(func=ast.Name(id="eval" | "exec")):
            yield "eval"
        case ast.Constant(value=str(text)) if text == "cuda" or text.startswith("cuda:"):
            yield "device name as a literal"
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            defaults = [*node.args.defaults, *(value for value in node.args.kw_defaults if value)]
            if any(isinstance(value, ast.List | ast.Dict | ast.Set) for value in defaults):
                yield "mutable default"
