"""The Dockerfile, .dockerignore and compose.yaml, read by hadolint and by parsers: no Docker engine is needed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

Instruction = tuple[str, str]
TARGETS = {"cpu": "requirements.lock", "cuda": "requirements-gpu.lock"}


def instructions(repository: Path) -> list[Instruction]:
    """The instructions of the Dockerfile and their arguments, continued lines joined."""
    text = (repository / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


@pytest.fixture
def stages(repository: Path) -> dict[str, list[Instruction]]:
    """The instructions of each stage, with those of the stages that it begins with."""
    found: dict[str, list[Instruction]] = {}
    for word, rest in instructions(repository):
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()  # type: ignore[union-attr]
            found[name] = [*found.get(base, [("FROM", base)])]
        else:
            found[name].append((word, rest))
    return found


@pytest.fixture
def compose(repository: Path) -> dict[str, Any]:
    """compose.yaml with its aliases resolved."""
    return yaml.safe_load((repository / "compose.yaml").read_text(encoding="utf-8"))


def last(stage: list[Instruction], word: str) -> str:
    return [rest for name, rest in stage if name == word][-1]


def test_hadolint_finds_nothing(repository: Path) -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert program, "hadolint is missing: it is in the extra dev"
    done = subprocess.run(
        [program, "--no-color", "Dockerfile"], cwd=repository, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_base_images_have_a_version(stages: dict[str, list[Instruction]]) -> None:
    for stage in stages.values():
        assert re.fullmatch(r"[\w./-]+:\d[\w.-]+", stage[0][1]), stage[0]


@pytest.mark.parametrize(("target", "lock"), TARGETS.items())
def test_target_installs_its_lock_with_hashes(
    stages: dict[str, list[Instruction]], repository: Path, target: str, lock: str
) -> None:
    installs = [rest for word, rest in stages[target] if word == "RUN" and "pip install" in rest]
    assert installs.pop() == f"python -m pip install --no-deps --require-hashes --requirement {lock}"
    torch = re.search(r"torch==[\d.]+", (repository / "Makefile").read_text(encoding="utf-8"))
    assert torch and installs == ([f"python -m pip install {torch.group()}"] if target == "cuda" else [])


@pytest.mark.parametrize("target", TARGETS)
def test_target_is_no_root_and_answers_on_its_port(stages: dict[str, list[Instruction]], target: str) -> None:
    stage = stages[target]
    names = [word for word, _ in stage]
    user = last(stage, "USER").partition(":")[0]
    assert user.isdigit() and int(user) > 0 and "RUN" not in names[names.index("USER") :]
    port = last(stage, "EXPOSE")
    settings = dict(re.findall(r"(\w+)=(\S+)", last(stage, "ENV")))
    assert (settings["GRADIO_SERVER_NAME"], settings["GRADIO_SERVER_PORT"]) == ("0.0.0.0", port)
    assert f"http://127.0.0.1:{port}/" in last(stage, "HEALTHCHECK")
    assert json.loads(last(stage, "ENTRYPOINT")) == ["python", "app.py"]


@pytest.mark.parametrize("target", TARGETS)
def test_every_folder_of_the_app_is_in_the_volume(stages: dict[str, list[Instruction]], target: str) -> None:
    settings = dict(re.findall(r"(\w+)=(\S+)", last(stages[target], "ENV")))
    volume = last(stages[target], "VOLUME")
    folders = ("GRADIO_TEMP_DIR", *(f"FANTASYPORTRAIT_{name}" for name in ("MODELS_DIR", "CACHE_DIR", "RESULTS")))
    assert all(settings[name].startswith(f"{volume}/") for name in folders)


def test_what_is_copied_exists_and_is_not_ignored(stages: dict[str, list[Instruction]], repository: Path) -> None:
    copied = {
        source
        for stage in stages.values()
        for word, rest in stage
        if word in ("COPY", "ADD")
        for source in rest.split()[:-1]
    }
    assert {"app.py", "ui", "fantasyportrait", *TARGETS.values()} < copied
    assert all((repository / source).exists() for source in copied)
    lines = (repository / ".dockerignore").read_text(encoding="utf-8").split("\n")
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*" and {rule[1:] for rule in rules if rule.startswith("!")} == copied


def test_the_build_carries_no_secret(repository: Path) -> None:
    text = (repository / "Dockerfile").read_text(encoding="utf-8") + (repository / "compose.yaml").read_text("utf-8")
    assert not re.search(r"token|secret|password|api_?key", text, re.I)


def test_compose_follows_the_specification(compose: dict[str, Any]) -> None:
    parsed = PyCompose.from_json(json.dumps(compose))
    parsed.validate()
    assert sorted(parsed.service_names()) == sorted(TARGETS)


def test_compose_parser_refuses_a_misspelled_key(compose: dict[str, Any]) -> None:
    compose["services"]["cpu"]["imagee"] = "x"
    with pytest.raises(ValueError, match="imagee"):
        PyCompose.from_json(json.dumps(compose))


@pytest.mark.parametrize("target", TARGETS)
def test_compose_service_fits_its_target(
    compose: dict[str, Any], stages: dict[str, list[Instruction]], target: str
) -> None:
    service = compose["services"][target]
    assert service["build"] == {"context": ".", "target": target} and service["profiles"] == [target]
    address, _, inner = service["ports"][0].rpartition(":")
    assert inner == last(stages[target], "EXPOSE") and address.startswith("127.0.0.1:")
    name, path = service["volumes"][0].split(":")
    assert name in compose["volumes"] and path == last(stages[target], "VOLUME")
    assert service["read_only"] and service["cap_drop"] == ["ALL"]


def test_only_the_cuda_service_asks_for_a_gpu(compose: dict[str, Any]) -> None:
    (device,) = compose["services"]["cuda"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and device["capabilities"] == ["gpu"]
    assert "deploy" not in compose["services"]["cpu"]
