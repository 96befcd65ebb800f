"""The models to choose from, small enough for one processor core.

Each takes gray images as they are stored (uint8, height by width) and returns one number (a logit) for each class.
Weights come from the seed alone, so that every process and every run begins with the same ones.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from labkit.errors import LabError


def _dense(units: int, seed: int, name: str, activation: str | None = None) -> layers.Layer:
    return layers.Dense(units, activation, kernel_initializer=keras.initializers.GlorotUniform(seed), name=name)


def linear(classes: int, seed: int) -> list[layers.Layer]:
    """One weight for each pixel and class: logistic regression."""
    return [layers.Flatten(), _dense(classes, seed, "logits")]


def mlp(classes: int, seed: int) -> list[layers.Layer]:
    """Two hidden layers."""
    return [
        layers.Flatten(),
        _dense(128, seed, "hidden_1", "relu"),
        _dense(64, seed + 1, "hidden_2", "relu"),
        _dense(classes, seed + 2, "logits"),
    ]


def cnn(classes: int, seed: int) -> list[layers.Layer]:
    """Two convolutions of stride 2 see edges and their arrangement, wherever they are."""

    def convolution(filters: int, seed: int, name: str) -> layers.Layer:
        initial = keras.initializers.GlorotUniform(seed)
        return layers.Conv2D(
            filters, 3, strides=2, padding="same", activation="relu", kernel_initializer=initial, name=name
        )

    return [
        convolution(16, seed, "convolution_1"),
        convolution(32, seed + 1, "convolution_2"),
        layers.Flatten(),
        _dense(64, seed + 2, "hidden", "relu"),
        _dense(classes, seed + 3, "logits"),
    ]


ARCHITECTURES: dict[str, Callable[[int, int], list[layers.Layer]]] = {"linear": linear, "mlp": mlp, "cnn": cnn}


def build(name: str, shape: tuple[int, int], classes: int, seed: int) -> keras.Model:
    """A model with its weights: uint8 (examples, height, width) to float32 logits (examples, classes)."""
    if name not in ARCHITECTURES:
        raise LabError(f"there is no architecture {name!r}", f"choose one of {', '.join(ARCHITECTURES)}")
    return keras.Sequential(
        [
            layers.Input((*shape, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            *ARCHITECTURES[name](classes, seed),
        ],
        name=name,
    )
