"""Private names of diffusers are used in `models/diffusers_compat.py` alone; overriding methods keep signatures."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

COMPAT = Path("fantasyportrait/models/diffusers_compat.py")
ROOMS = ("models", "pipelines", "runtime", "planning", "engines", "testing")
# Private names of torch, which has no public ones for these.
TORCH = {"_dynamo", "_overloadpacket", "_cdata"}


def sources(repository: Path) -> Iterator[Path]:
    """The files of the rooms that build on diffusers, and the benchmarks, but the one for private names."""
    folders = [repository / "fantasyportrait" / room for room in ROOMS]
    for folder in (*folders, repository / "benchmarks"):
        yield from (path for path in folder.rglob("*.py") if path != repository / COMPAT)


def is_private(name: str) -> bool:
    """Whether a name begins with one underscore."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def own_names(tree: ast.Module) -> set[str]:
    """What a file defines itself: functions, classes, variables, and attributes that it assigns to `self`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            found.add(node.attr)
    return found


def private_uses(tree: ast.Module) -> Iterator[str]:
    """Private names of other packages: imports of diffusers and accelerate, attributes, and names given to getattr."""
    own = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ("diffusers", "accelerate"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from filter(is_private, names)
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own | TORCH:
            yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
            texts = (each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str))
            yield from (text for text in texts if is_private(text))


def test_private_names_of_diffusers_are_in_one_module(repository: Path) -> None:
    found = {
        str(path.relative_to(repository)): names
        for path in sources(repository)
        if (names := sorted(set(private_uses(ast.parse(path.read_text(encoding="utf-8"))))))
    }
    assert not found
    assert set(private_uses(ast.parse((repository / COMPAT).read_text(encoding="utf-8")))), "the check sees none"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("from diffusers.hooks._helpers import TransformerBlockRegistry", "_helpers"),
        ("from diffusers.models.transformers.transformer_wan import _get_qkv_projections", "_get_qkv_projections"),
        ("device = pipeline._execution_device", "_execution_device"),
        ("transformer._cp_plan = None", "_cp_plan"),
        ("hook = getattr(module, '_hf_hook', None)", "_hf_hook"),
    ],
)
def test_the_check_sees_a_private_name(line: str, name: str) -> None:
    assert list(private_uses(ast.parse(line))) == [name]


def overridden_methods() -> list[tuple[type, str, type]]:
    """(class of ours, method, class of diffusers whose method it overrides) of every class that inherits from it."""
    pytest.importorskip("diffusers")
    from fantasyportrait.models import motion_adapter, motion_attention, motion_encoder, transformer
    from fantasyportrait.pipelines import portrait_pipeline

    found = []
    for module in (motion_adapter, motion_attention, motion_encoder, transformer, portrait_pipeline):
        for ours in vars(module).values():
            if not (inspect.isclass(ours) and ours.__module__ == module.__name__):
                continue
            theirs = [base for base in ours.__mro__[1:] if base.__module__.startswith("diffusers.")]
            for name, method in vars(ours).items():
                base = next((base for base in theirs if name in vars(base)), None)
                if callable(method) and name != "__init__" and base is not None:
                    found.append((ours, name, base))
    return found


def test_methods_that_override_diffusers_keep_their_signature() -> None:
    """All parameters of the base's method, in their order and by their names; more may follow."""
    checked = overridden_methods()
    assert {name for _, name, _ in checked} >= {"forward", "__call__", "enable_cache"}
    for ours, name, base in checked:
        expected = list(inspect.signature(getattr(base, name)).parameters)
        found = inspect.signature(getattr(ours, name)).parameters
        assert list(found)[: len(expected)] == expected, f"{ours.__name__}.{name} overrides {base.__name__}.{name}"
        added = list(found.values())[len(expected) :]
        assert all(each.default is not inspect.Parameter.empty for each in added), f"{ours.__name__}.{name}"
