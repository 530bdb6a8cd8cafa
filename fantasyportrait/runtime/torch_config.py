"""How torch computes: the settings that are the whole process's, and the transformer's blocks compiled."""

import contextlib
from collections.abc import Iterator

import torch
from diffusers import ModelMixin
from torch.utils._triton import has_triton

from fantasyportrait.core.errors import RequestError
from fantasyportrait.models.diffusers_compat import has_hooks
from fantasyportrait.runtime.profiles import Profile

# Shapes and kinds of passes (with motion or without, alone or as a batch) that one process meets: dynamo's own limit of
# 8 ends in an error where graphs must be whole.
_RECOMPILE_LIMIT = 64
COMPILER = "inductor"


@contextlib.contextmanager
def torch_settings(device: torch.device, compiled: bool = False) -> Iterator[None]:
    """TF32 for what is float32 on a GPU (CLIP, VAE, motion nets), while this is entered; then all as it was.

    TF32 keeps 10 bits of a factor, more than the bfloat16 of the transformer, whose own products it does not touch.
    cuDNN does not benchmark: it would pick its convolutions by the clock, so that one seed would give two videos, and
    take large workspaces for its trials, on GPUs that have no room for them.

    Args:
        device: where is computed; on the CPU nothing changes.
        compiled: blocks are compiled: dynamo may keep a graph for each shape and kind of pass.
    """
    with contextlib.ExitStack() as undo:
        if compiled:
            # Late: it takes a second to import, and most processes compile nothing.
            import torch._dynamo as dynamo

            undo.enter_context(dynamo.config.patch(recompile_limit=_RECOMPILE_LIMIT))
        if device.type != "cpu":
            _allow_tf32(undo)
            undo.callback(setattr, torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
            torch.backends.cudnn.benchmark = False
        yield


def compile_blocks(transformer: ModelMixin, compiler: str = COMPILER) -> None:
    """Compile the forward pass of the transformer's block; the first step then waits for the compiler.

    One graph serves all blocks. It must be called before a pipeline is placed and before a step cache is turned on:
    their hooks cannot be compiled, so they have to lie around the compiled part (that is why this is not diffusers'
    `compile_repeated_blocks`, which takes the hooks in). LoRAs may come later.

    Raises:
        RequestError: hooks are there already, or layers whose weights are cast or fetched one by one as they run.
    """
    if has_hooks(transformer):
        raise RequestError(
            "the transformer has hooks already, which cannot be compiled: leave out --compile, or compile before "
            "offloading and step caches"
        )
    for block in transformer.blocks:
        block.forward = torch.compile(block.forward, fullgraph=True, backend=compiler)


def compile_unsupported(profile: Profile, gguf: bool) -> str:
    """Why the layers of a profile, of a GGUF file or not, cannot be compiled; empty where they can."""
    if profile.offload == "sequential":
        return "its layers are fetched one by one as they run"
    return {
        "fp8": "its layers are cast to their full width one by one as they run",
        "nf4": "its layers are unpacked by a package of their own",
        "gguf": "its layers are unpacked from a file's blocks as they run",
    }.get("gguf" if gguf else profile.weights, "")


def check_compile(profile: Profile, device: torch.device, gguf: bool = False) -> None:
    """Raise `RequestError` for a profile whose layers cannot be compiled, and a GPU without torch's compiler."""
    why = compile_unsupported(profile, gguf)
    if why:
        raise RequestError(
            f"--compile does not go with the profile {profile.name}, because {why}: leave it out, or choose another"
        )
    if device.type not in ("cpu", "mps") and not has_triton():
        raise RequestError(
            "--compile needs the package triton, which is not installed here or does not know this GPU: leave it out, "
            "or install triton (on Windows triton-windows)"
        )


def _allow_tf32(undo: contextlib.ExitStack) -> None:
    """Let float32 matrix products use TF32; torch allows it for convolutions by itself."""
    products = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    if products[0].fp32_precision not in ("none", "ieee"):
        return  # whoever set it knows why
    # Of the two ways to ask, this one keeps the other's answer in step; who reads an older one gets an error otherwise.
    for product in products:
        undo.callback(setattr, product, "fp32_precision", product.fp32_precision)
    undo.callback(torch.set_float32_matmul_precision, "highest")
    torch.set_float32_matmul_precision("high")
