"""The figures of the result, drawn from what was measured; each function returns one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

SIZE = (8, 4)  # inches


def accuracies(selection: dict, aggregate: dict) -> Figure:
    """Each candidate on the validation part; the two served and their ensemble on the test part."""
    figure = Figure(SIZE, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True, width_ratios=[len(selection["candidates"]), 3])
    names = [each["model"] for each in selection["candidates"]]
    chosen = {selection["first"]["model"], selection["second"]["model"]}
    colours = ["C0" if name in chosen else "0.7" for name in names]
    _bars(axes[0], names, [100 * (each["accuracy"] or 0) for each in selection["candidates"]], colours)
    axes[0].set(title="candidates (chosen in blue)", xlabel="model", ylabel="accuracy on validation data (%)")
    served = [f"{selection[place]['model']}\n({place})" for place in ("first", "second")] + ["both\ntogether"]
    values = [100 * aggregate["accuracy"][who] for who in ("first", "second", "ensemble")]
    _bars(axes[1], served, values, ["C0", "C0", "C1"])
    axes[1].set(title="served", xlabel="answer of", ylabel="accuracy on test data (%)")
    return figure


def _bars(axes, names: Sequence[str], values: Sequence[float], colours: Sequence[str]) -> None:
    bars = axes.bar(range(len(names)), values, color=colours, tick_label=names)
    axes.bar_label(bars, [f"{value:.1f}" if value else "failed" for value in values])
    axes.set_ylim(0, 108)


def confusions(selection: dict, aggregate: dict, classes: Sequence[str]) -> Figure:
    """What is taken for what: by both chosen models and by both together."""
    figure = Figure((12, 4.6), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    titles = [selection["first"]["model"], selection["second"]["model"], "both together"]
    matrices = [np.array(aggregate["confusion"][who]) for who in ("first", "second", "ensemble")]
    top = max(matrix.max() for matrix in matrices)
    for each, title, matrix in zip(axes, titles, matrices, strict=True):
        image = each.imshow(matrix, cmap="Blues", vmin=0, vmax=top)
        for row, column in np.argwhere(matrix):
            dark = matrix[row, column] > top / 2
            each.text(
                column, row, matrix[row, column], ha="center", va="center", size=6, color="white" if dark else "black"
            )
        each.set_xticks(range(len(classes)), classes, rotation=90)
        each.set(title=title, xlabel="predicted class")
    axes[0].set_yticks(range(len(classes)), classes)
    axes[0].set_ylabel("true class")
    figure.colorbar(image, ax=axes, label="test images (count)")
    return figure


def predictions(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> Figure:
    """Some test images with the ensemble's answer: green where right, red with the truth where wrong."""
    figure = Figure((10, 4), layout="constrained")
    answers = np.argmax(probabilities, axis=1)
    wrong = np.flatnonzero(answers != labels)[:5]
    right = np.flatnonzero(answers == labels)[: 14 - len(wrong)]
    for place, index in enumerate([*right, *wrong]):
        axes = figure.add_subplot(2, 7, place + 1)
        axes.imshow(images[index], cmap="gray_r")
        axes.set_xticks([])
        axes.set_yticks([])
        certain = f"{classes[answers[index]]} {100 * probabilities[index].max():.0f} %"
        good = answers[index] == labels[index]
        axes.set_title(certain, size=8, color="tab:green" if good else "tab:red")
        if not good:
            axes.set_xlabel(f"is {classes[labels[index]]}", size=8)
    figure.suptitle("what both together see in test images (probability in %)")
    return figure


def latencies(selection: dict, aggregate: dict) -> Figure:
    """How long a request took, as the share of requests that were answered within a time."""
    figure = Figure(SIZE, layout="constrained")
    axes = figure.subplots()
    for place in ("first", "second"):
        seconds = np.sort(aggregate["serving"][place]["seconds"])
        share = 100 * np.arange(1, len(seconds) + 1) / len(seconds)
        replicas = len(aggregate["serving"][place]["pods"])
        axes.step(
            1000 * seconds, share, where="post", label=f"{place}: {selection[place]['model']}, {replicas} replicas"
        )
    axes.set(xlabel=f"time to answer {aggregate['batch']} images (ms)", ylabel="requests answered (%)", ylim=(0, 102))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def learning(histories: dict[str, list[dict]]) -> Figure:
    """Loss of each training against its steps; a resumed one goes on where its checkpoint was."""
    figure = Figure(SIZE, layout="constrained")
    axes = figure.subplots()
    for model, records in histories.items():
        progress = [record for record in records if record["event"] == "progress"]
        axes.plot([each["step"] for each in progress], [each["loss"] for each in progress], marker=".", label=model)
    axes.set(xlabel="step (updates of the model)", ylabel="training loss (nats)", ylim=(0, None))
    axes.legend()
    axes.grid(alpha=0.3)
    return figure
