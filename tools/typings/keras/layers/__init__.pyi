"""Layers that ours derive from, as far as we use them."""

from typing import Any

class Layer:
    name: str
    path: str
    built: bool
    trainable: bool
    supports_masking: bool
    dtype_policy: Any
    compute_dtype: str
    variable_dtype: str
    input: Any
    output: Any
    losses: list[Any]
    weights: list[Any]
    variables: list[Any]
    trainable_weights: list[Any]
    trainable_variables: list[Any]
    non_trainable_variables: list[Any]
    def __init__(self, **kwargs: Any) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def build(self, input_shape: Any) -> None: ...
    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any: ...
    def compute_output_shape(self, input_shape: Any) -> Any: ...
    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any: ...
    def add_weight(self, *args: Any, **kwargs: Any) -> Any: ...
    def get_weights(self) -> list[Any]: ...
    def set_weights(self, weights: list[Any]) -> None: ...
    def count_params(self) -> int: ...
    def get_config(self) -> dict[str, Any]: ...
    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any: ...

class BatchNormalization(Layer):
    axis: int
    momentum: float
    epsilon: float
    center: bool
    scale: bool
    gamma: Any
    beta: Any
    moving_mean: Any
    moving_variance: Any

def __getattr__(name: str) -> Any: ...
