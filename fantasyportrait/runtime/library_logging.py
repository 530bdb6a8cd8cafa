"""Keeps the progress bars and warnings of libraries off the terminal while weights are loaded."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as transformers_logging

# Loggers that warn while quantizers and offloading are set up.
_LOGGERS = ("accelerate.big_modeling", "torchao", "torch.utils._pytree", "bitsandbytes", "peft")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Inside, libraries log errors only and show no progress bars; afterwards, their settings are restored."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    # Late, since importing diffusers' pipelines makes transformers warn about packages that are not needed here.
    from diffusers.utils import logging as diffusers_logging

    own = diffusers_logging.get_verbosity(), diffusers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        transformers_logging.set_verbosity(verbosity)
        diffusers_logging.set_verbosity(own[0])
        if bars:
            transformers_logging.enable_progress_bar()
        if own[1]:
            diffusers_logging.enable_progress_bar()
