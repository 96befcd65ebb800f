"""Aggregation: both Services answer the test part; their probabilities are averaged, and all three are compared.

The average is the simplest ensemble. Where the two models err in different places it is right more often than either.
"""

from __future__ import annotations

import io
import sys
from collections import Counter

import numpy as np

from labkit import data
from labkit.data import storage
from labkit.pipeline import step
from labkit.pipeline.asking import Answer, address, ask
from labkit.pipeline.select import SELECTION

AGGREGATE = "aggregate.json"
PREDICTIONS = "predictions.npz"


def run(arguments: list[str]) -> None:
    parser = step.parser("aggregate", "Ask both serving Services and combine their answers.")
    parser.add_argument("--data", required=True, metavar="URL", help="folder of the shards")
    parser.add_argument("--work", required=True, metavar="URL", help="folder of selection.json and of what is written")
    parser.add_argument("--first", required=True, metavar="SERVICE", help="Service of the best model")
    parser.add_argument("--second", required=True, metavar="SERVICE", help="Service of the second best")
    parser.add_argument("--batch", type=int, default=20, help="images in one request")
    options = parser.parse_args(arguments)

    selection = storage.read_json(storage.join(options.work, SELECTION))
    test = data.read(options.data, "test")
    services = {place: (address(getattr(options, place)), selection[place]["model"]) for place in ("first", "second")}
    answers: dict[str, list[Answer]] = {place: [] for place in services}
    for start in range(0, len(test), options.batch):
        images = test.images[start : start + options.batch]
        for place, (base, model) in services.items():
            answers[place].append(ask(base, model, images))
    probabilities = {
        place: np.concatenate([answer.probabilities for answer in given]) for place, given in answers.items()
    }
    probabilities["ensemble"] = (probabilities["first"] + probabilities["second"]) / 2
    result = {
        "data": selection["data"],
        "examples": len(test),
        "batch": options.batch,
        "accuracy": {who: accuracy(given, test.labels) for who, given in probabilities.items()},
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


def confusion(probabilities: np.ndarray, labels: np.ndarray, classes: int) -> list[list[int]]:
    """How often an example of the row's class was taken for the column's."""
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, np.argmax(probabilities, axis=1)), 1)
    return counts.tolist()


def describe(answers: list[Answer]) -> dict:
    """Latencies in seconds, and who answered how often."""
    seconds = [answer.seconds for answer in answers]
    return {
        "requests": len(answers),
        "repeated": sum(answer.attempts - 1 for answer in answers),
        "pods": dict(sorted(Counter(answer.pod for answer in answers).items())),
        "seconds": [round(each, 5) for each in seconds],
        "p50": round(float(np.percentile(seconds, 50)), 5),
        "p99": round(float(np.percentile(seconds, 99)), 5),
    }


if __name__ == "__main__":
    sys.exit(step.main(run))
