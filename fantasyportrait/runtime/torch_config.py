"""Global settings of torch while the engine runs, and compiling of the transformer's blocks."""

import contextlib
from collections.abc import Iterator

import torch
from diffusers import ModelMixin
from torch.utils._triton import has_triton

from fantasyportrait.core.errors import RequestError
from fantasyportrait.models.diffusers_compat import has_hooks
from fantasyportrait.runtime.profiles import Profile

# Dynamo compiles a graph for each shape and kind of pass (with motion or without, single or batched). At its default
# limit of 8, `fullgraph` raises an error.
_RECOMPILE_LIMIT = 64
COMPILER = "inductor"


@contextlib.contextmanager
def torch_settings(device: torch.device, compiled: bool = False) -> Iterator[None]:
    """Inside, float32 products on a GPU (CLIP, VAE, motion nets) use TF32; afterwards, all settings are restored.

    TF32 has 10 mantissa bits, more than the transformer's bfloat16, whose products it does not affect. cuDNN's
    benchmark is off: it would choose convolutions by their measured time, so that one seed could give two videos, and
    its trials need large workspaces.

    Args:
        device: device of the computation; on the CPU nothing changes.
        compiled: whether blocks are compiled, which raises dynamo's limit of graphs.
    """
    with contextlib.ExitStack() as undo:
        if compiled:
            # Imported late, since it takes a second and most processes compile nothing.
            import torch._dynamo as dynamo

            undo.enter_context(dynamo.config.patch(recompile_limit=_RECOMPILE_LIMIT))
        if device.type != "cpu":
            _allow_tf32(undo)
            undo.callback(setattr, torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
            torch.backends.cudnn.benchmark = False
        yield


def compile_blocks(transformer: ModelMixin, compiler: str = COMPILER) -> None:
    """Compile the forward pass of the transformer's blocks, which share one graph; the first step waits for it.

    Call it before offloading and before a step cache is enabled: their hooks cannot be compiled, so they must wrap the
    compiled function. (Diffusers' `compile_repeated_blocks` would compile the hooks too.) LoRAs may be added later.

    Raises:
        RequestError: the transformer has hooks already.
    """
    if has_hooks(transformer):
        raise RequestError(
            "the transformer has hooks already, which cannot be compiled: leave out --compile, or compile before "
            "offloading and step caches"
        )
    for block in transformer.blocks:
        block.forward = torch.compile(block.forward, fullgraph=True, backend=compiler)


def compile_unsupported(profile: Profile, gguf: bool) -> str:
    """Why the layers of a profile or of a GGUF file cannot be compiled; empty if they can."""
    if profile.offload == "sequential":
        return "its layers are fetched one by one as they run"
    return {
        "fp8": "its layers are cast to their full width one by one as they run",
        "nf4": "its layers are unpacked by a package of their own",
        "gguf": "its layers are unpacked from a file's blocks as they run",
    }.get("gguf" if gguf else profile.weights, "")


def check_compile(profile: Profile, device: torch.device, gguf: bool = False) -> None:
    """Raise `RequestError` for a profile whose layers cannot be compiled, and for a GPU without triton."""
    why = compile_unsupported(profile, gguf)
    if why:
        raise RequestError(
            "--compile does not go with the profile {name}, because {why}: leave it out, or choose another",
            name=profile.name,
            why=why,
        )
    if device.type not in ("cpu", "mps") and not has_triton():
        raise RequestError(
            "--compile needs the package triton, which is not installed here or does not know this GPU: leave it out, "
            "or install triton (on Windows triton-windows)"
        )


def _allow_tf32(undo: contextlib.ExitStack) -> None:
    """Let float32 matrix products use TF32, as convolutions do by default."""
    products = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    if products[0].fp32_precision not in ("none", "ieee"):
        return  # the user has set it
    # Of torch's two interfaces, this one updates the other too; otherwise reading the older one raises an error.
    for product in products:
        undo.callback(setattr, product, "fp32_precision", product.fp32_precision)
    undo.callback(torch.set_float32_matmul_precision, "highest")
    torch.set_float32_matmul_precision("high")
