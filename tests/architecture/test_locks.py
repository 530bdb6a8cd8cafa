"""The locked sets fit the ranges of pyproject.toml, carry hashes, and leave torch to the user."""

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

BASE, FULL = "requirements.lock", "requirements-dev.lock"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
SYSTEMS = ("linux", "darwin", "win32")


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, object]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


def locked(path: Path, python: str, system: str) -> dict[str, str]:
    """Package name -> version that the lock installs there; the file's hashes are checked in passing."""
    found: dict[str, str] = {}
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        wanted, *hashes = re.split(r"\s--hash=", line.split("#")[0].strip())
        assert hashes and all(re.fullmatch("sha256:[0-9a-f]{64}", text.strip()) for text in hashes), wanted
        requirement = Requirement(wanted)
        here = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": system}
        here |= {"platform_machine": "x86_64", "implementation_name": "cpython"}
        if requirement.marker is None or requirement.marker.evaluate(here):
            (pin,) = requirement.specifier
            name = canonicalize_name(requirement.name)
            assert pin.operator == "==" and name not in found, wanted
            found[name] = pin.version
    return found


def wanted(project: dict, extras: tuple[str, ...], python: str) -> list[Requirement]:
    """The ranges of the base and of these extras that count on that Python."""
    table = project["project"]
    texts = [*table["dependencies"], *(text for extra in extras for text in table["optional-dependencies"][extra])]
    every = [Requirement(text) for text in texts]
    return [r for r in every if r.marker is None or r.marker.evaluate({"python_version": python})]


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_locks_hold_what_the_ranges_ask_for(repository: Path, project: dict, python: str, system: str) -> None:
    small, full = (locked(repository / name, python, system) for name in (BASE, FULL))
    for requirement in wanted(project, ("app", "reel"), python):
        assert requirement.specifier.contains(small[canonicalize_name(requirement.name)]), requirement
    for requirement in wanted(project, ("app", "reel", "wan", "gguf", "int8", "ray", "mcp", "dev"), python):
        if requirement.name != "torch":
            assert requirement.specifier.contains(full[canonicalize_name(requirement.name)]), requirement
    assert small.items() <= full.items()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_locks_hold_the_repaired_pillow(repository: Path, python: str) -> None:
    version = locked(repository / BASE, python, "linux")["pillow"]
    assert tuple(map(int, version.split("."))) >= ((12, 3) if python == "3.10" else (13, 0))


@pytest.mark.parametrize("name", [BASE, FULL])
def test_no_lock_brings_torch_or_cuda(repository: Path, name: str) -> None:
    every = {package for python in PYTHONS for package in locked(repository / name, python, "linux")}
    assert not [package for package in every if re.match("torch$|torchvision$|triton|nvidia|cuda", package)]


def listed(path: Path) -> dict[str, Requirement]:
    """Package name -> line of a requirements file."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    found = {Requirement(line).name: Requirement(line) for line in lines}
    assert len(found) == len(lines), "a package is listed twice"
    return found


@pytest.mark.parametrize(
    ("name", "extras"), [("requirements-cpu.txt", ("app",)), ("requirements.txt", ("app", "wan", "gguf"))]
)
def test_requirements_files_equal_the_extras(
    repository: Path, project: dict, name: str, extras: tuple[str, ...]
) -> None:
    # Of two ranges for one package the extra's is the narrower.
    asked = {requirement.name: requirement for requirement in wanted(project, extras, "3.11")}
    assert listed(repository / name) == asked


def test_light_requirements_bring_no_package_of_the_diffusion_engine(repository: Path) -> None:
    heavy = {"torch", "diffusers", "transformers", "accelerate", "bitsandbytes"}
    assert heavy < listed(repository / "requirements.txt").keys()
    assert not heavy & listed(repository / "requirements-cpu.txt").keys()


@pytest.mark.parametrize("package", ["segment-anything", "insightface", "moviepy"])
def test_requirements_txt_says_how_other_packages_are_installed(repository: Path, package: str) -> None:
    text = (repository / "requirements.txt").read_text(encoding="utf-8")
    assert package not in listed(repository / "requirements.txt")
    assert re.search(rf"^# {package}: .{{20,}}\.$", text, re.M)


def test_pyproject_requires_safe_pillow_with_app(project: dict) -> None:
    (pillow,) = [
        r for r in wanted(project, ("app",), "3.11")[len(project["project"]["dependencies"]) :] if r.name == "pillow"
    ]
    assert pillow.specifier.contains("12.3") and not pillow.specifier.contains("12.2")
