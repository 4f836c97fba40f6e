"""MT4SSL: speech pre-training on offline and online targets at once (https://arxiv.org/abs/2211.07321)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mt4ssl.inference import Encoder, Recogniser

__version__ = "0.1.0"
__all__ = ["Encoder", "Recogniser"]


def __getattr__(name: str) -> Any:
    """Import what users open models with when it is asked for, so that `import mt4ssl` needs no torch."""
    if name in __all__:
        from mt4ssl import inference

        return getattr(inference, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
