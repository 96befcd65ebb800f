"""Aggregation: both Services answer the test part; their probabilities are averaged, and all three are compared.

The average is the simplest ensemble. Whether it helps is counted image by image, against the better model alone: those that
only the average gets right, and those that only the better model gets right. The difference of two accuracies that were
measured on the same images is in these two numbers alone.
"""

from __future__ import annotations

import io
import sys
from collections import Counter

import numpy as np

from labkit.course import data
from labkit.course.data import storage
from labkit.course.pipeline import step
from labkit.course.pipeline.asking import Answer, address, ask
from labkit.course.pipeline.select import SELECTION
from labkit.course.pipeline.uncertainty import tail

AGGREGATE = "aggregate.json"
PREDICTIONS = "predictions.npz"
REQUESTS = 200  # to each Service: enough for a 95th percentile


def run(arguments: list[str]) -> None:
    parser = step.parser("aggregate", "Ask both serving Services and combine their answers.")
    parser.add_argument("--data", required=True, metavar="URL", help="folder of the shards")
    parser.add_argument("--work", required=True, metavar="URL", help="folder of selection.json and of what is written")
    parser.add_argument("--first", required=True, metavar="SERVICE", help="Service of the best model")
    parser.add_argument("--second", required=True, metavar="SERVICE", help="Service of the second best")
    parser.add_argument("--batch", type=int, default=0, help=f"images in one request (0: so that there are {REQUESTS})")
    options = parser.parse_args(arguments)

    selection = storage.read_json(storage.join(options.work, SELECTION))
    test = data.read(options.data, "test")
    services = {place: (address(getattr(options, place)), selection[place]["model"]) for place in ("first", "second")}
    answers: dict[str, list[Answer]] = {place: [] for place in services}
    batch = options.batch or max(1, len(test) // REQUESTS)
    for start in range(0, len(test), batch):
        images = test.images[start : start + batch]
        for place, (base, model) in services.items():
            answers[place].append(ask(base, model, images))
    probabilities = {
        place: np.concatenate([answer.probabilities for answer in given]) for place, given in answers.items()
    }
    probabilities["ensemble"] = (probabilities["first"] + probabilities["second"]) / 2
    result = {
        "data": selection["data"],
        "examples": len(test),
        "batch": batch,
        "accuracy": {who: accuracy(given, test.labels) for who, given in probabilities.items()},
        "paired": paired(probabilities, test.labels),
        "confusion": {who: confusion(given, test.labels, len(test.classes)) for who, given in probabilities.items()},
        "serving": {place: describe(given) for place, given in answers.items()},
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **probabilities)
    storage.write_bytes(storage.join(options.work, PREDICTIONS), buffer.getvalue())
    storage.write_json(storage.join(options.work, AGGREGATE), result)
    step.output(options.outputs, {"accuracy": f"{result['accuracy']['ensemble']:.4f}"})


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(np.argmax(probabilities, axis=1) == labels))


def paired(probabilities: dict[str, np.ndarray], labels: np.ndarray) -> dict:
    """The average against the better of the two models, on the same images: how many only one of them gets right."""
    right = {who: np.argmax(given, axis=1) == labels for who, given in probabilities.items()}
    better = max(("first", "second"), key=lambda place: right[place].sum())
    return {
        "better": better,
        "gained": int((right["ensemble"] & ~right[better]).sum()),
        "lost": int((right[better] & ~right["ensemble"]).sum()),
    }


def confusion(probabilities: np.ndarray, labels: np.ndarray, classes: int) -> list[list[int]]:
    """How often an example of the row's class was taken for the column's."""
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, np.argmax(probabilities, axis=1)), 1)
    return counts.tolist()


def describe(answers: list[Answer]) -> dict:
    """Latencies in seconds, and who answered how often."""
    seconds = [answer.seconds for answer in answers]
    percentile, slow = tail(seconds)
    return {
        "requests": len(answers),
        "repeated": sum(answer.attempts - 1 for answer in answers),
        "pods": dict(sorted(Counter(answer.pod for answer in answers).items())),
        "seconds": [round(each, 5) for each in seconds],
        "p50": round(float(np.percentile(seconds, 50)), 5),
        "tail": {"percentile": percentile, "seconds": round(slow, 5)},
    }


if __name__ == "__main__":
    sys.exit(step.main(run))
