"""The figures of the result, drawn from what was measured; each function returns one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from labkit.course.pipeline.uncertainty import interval

SIZE = (8, 4)  # inches
SERVED, TOGETHER, OTHER = "#4c8eda", "#1b4f8f", "#b8bfc6"  # told apart in grey, too
RIGHT, WRONG = "#2f7d46", "#b3261e"
LINES = ("-", "--", "-.", ":")


def accuracies(selection: dict, aggregate: dict) -> Figure:
    """Each candidate on the validation part; the two served and their ensemble on the test part. With 95 % intervals."""
    figure = Figure(SIZE, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True, width_ratios=[len(selection["candidates"]), 3])
    candidates = selection["candidates"]
    chosen = {selection["first"]["model"], selection["second"]["model"]}
    colours = [SERVED if each["model"] in chosen else OTHER for each in candidates]
    shares = [(each["accuracy"], each.get("examples", 0)) for each in candidates]
    _bars(axes[0], [each["model"] for each in candidates], shares, colours)
    axes[0].set(xlabel="candidate (chosen: blue)", ylabel="accuracy on validation data (%)")
    names = [f"{selection[place]['model']}\n({place})" for place in ("first", "second")] + ["both\ntogether"]
    shares = [(aggregate["accuracy"][who], aggregate["examples"]) for who in ("first", "second", "ensemble")]
    _bars(axes[1], names, shares, [SERVED, SERVED, TOGETHER])
    axes[1].set(xlabel="answer of", ylabel="accuracy on test data (%)")
    axes[1].yaxis.set_tick_params(labelleft=True)
    _titled(figure, f"{selection['first']['model']} did best on the validation data; lines: 95 % intervals")
    return figure


def _bars(axes, names: Sequence[str], shares: Sequence[tuple[float | None, int]], colours: Sequence[str]) -> None:
    """Accuracies with their intervals; one that is not known is drawn as failed."""
    for place, ((accuracy, examples), colour) in enumerate(zip(shares, colours, strict=True)):
        if accuracy is None:
            axes.text(place, 2, "failed", ha="center", color=WRONG)
            continue
        low, high = interval(accuracy, examples)
        axes.bar(place, 100 * accuracy, color=colour, width=0.7)
        axes.plot([place, place], [100 * low, 100 * high], color="#24292f", lw=2, solid_capstyle="butt")
        axes.text(place, 100 * high + 1, f"{100 * accuracy:.1f}", ha="center", va="bottom")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylim(0, 112)
    axes.set_yticks(range(0, 101, 20))
    _open(axes)


def _open(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _titled(figure: Figure, words: str) -> None:
    figure.suptitle(words, x=0.01, ha="left", size=11)


def confusions(selection: dict, aggregate: dict, classes: Sequence[str]) -> Figure:
    """The mistakes, and what is taken for what: of both chosen models and of both together."""
    figure = Figure((12, 5), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    titles = [selection["first"]["model"], selection["second"]["model"], "both together"]
    matrices = [np.array(aggregate["confusion"][who]) for who in ("first", "second", "ensemble")]
    mistakes = [matrix - np.diag(np.diag(matrix)) for matrix in matrices]
    top = max(1, *(matrix.max() for matrix in mistakes))
    for each, title, matrix, wrong in zip(axes, titles, matrices, mistakes, strict=True):
        image = each.imshow(wrong, cmap="Oranges", vmin=0, vmax=top)
        for row, column in np.argwhere(matrix):
            diagonal = row == column
            colour = RIGHT if diagonal else ("white" if wrong[row, column] > 0.6 * top else "black")
            each.text(column, row, matrix[row, column], ha="center", va="center", size=8, color=colour)
        each.set_xticks(range(len(classes)), classes, rotation=90)
        each.set_title(f"{title}: {wrong.sum()} of {matrix.sum()} wrong", size=11)
        each.set_xlabel("what the model says")
    axes[0].set_yticks(range(len(classes)), classes)
    axes[0].set_ylabel("what it is")
    figure.colorbar(image, ax=axes, label="mistakes (images)", shrink=0.8)
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
        axes.set_title(certain, size=9, color=RIGHT if good else WRONG)
        if not good:
            axes.set_xlabel(f"is: {classes[labels[index]]}", size=9, color=WRONG)
    _titled(figure, f"{len(right)} images that both together get right, and {len(wrong)} that they get wrong")
    return figure


def latencies(selection: dict, aggregate: dict) -> Figure:
    """How long a request took, as the share of requests that were answered within a time."""
    figure = Figure(SIZE, layout="constrained")
    axes = figure.subplots()
    for place, line in zip(("first", "second"), LINES, strict=False):
        served = aggregate["serving"][place]
        seconds = np.sort(served["seconds"])
        share = 100 * np.arange(1, len(seconds) + 1) / len(seconds)
        words = f"{place}: {selection[place]['model']}, {len(served['pods'])} replicas, {len(seconds)} requests"
        axes.step(1000 * seconds, share, where="post", ls=line, label=words)
    images = "1 image" if aggregate["batch"] == 1 else f"{aggregate['batch']} images"
    axes.set(xlabel=f"time to answer {images} (ms)", ylabel="requests answered (%)", ylim=(0, 102))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="lower right", frameon=False)
    axes.grid(alpha=0.3)
    _open(axes)
    halves = " and ".join(f"{1000 * aggregate['serving'][p]['p50']:.1f} ms ({p})" for p in ("first", "second"))
    _titled(figure, f"Half of the requests were answered within {halves}")
    return figure


def learning(histories: dict[str, list[dict]]) -> Figure:
    """Loss of each training against its steps. Where one resumed, its line goes back to the checkpoint: a hollow circle."""
    figure = Figure(SIZE, layout="constrained")
    axes = figure.subplots()
    resumptions: list[tuple[int, float]] = []
    for (model, records), line in zip(histories.items(), cycle(LINES)):
        points, resumed = _progress(records)
        axes.plot([step for step, _ in points], [loss for _, loss in points], marker=".", ls=line, label=model)
        resumptions += resumed
    if resumptions:
        steps, losses = [step for step, _ in resumptions], [loss for _, loss in resumptions]
        axes.plot(steps, losses, "o", ms=9, mfc="none", mec="#24292f", zorder=4, label="resumed here")
    axes.set(xlabel="updates of the model", ylabel="training loss (nats)", ylim=(0, None))
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    _open(axes)
    _titled(figure, "The training loss of each model")
    return figure


def _progress(records: list[dict]) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """The (step, loss) of a training in the order of time, and those from which it resumed; both have the checkpoint's."""
    points: list[tuple[int, float]] = []
    resumed: list[tuple[int, float]] = []
    for record in records:
        if record["event"] == "progress":
            points.append((record["step"], record["loss"]))
        elif record["event"] == "resumed":
            known = [point for point in points if point[0] == record["step"]]
            resumed += known[-1:]
            points += known[-1:]
    return points, resumed
