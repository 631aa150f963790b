"""PyTorch untyped: it is not in every environment."""

from typing import Any

def __getattr__(name: str) -> Any: ...
