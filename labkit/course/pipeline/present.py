"""Presentation: what the system found, for people: a table, figures, and `result.json` for programs."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from labkit.course import data
from labkit.course.data import storage
from labkit.course.pipeline import figures, step
from labkit.course.pipeline.aggregate import AGGREGATE, PREDICTIONS
from labkit.course.pipeline.select import SELECTION
from labkit.course.pipeline.uncertainty import interval
from labkit.course.training.outputs import METRICS


def run(arguments: list[str]) -> None:
    parser = step.parser("present", "Write the result as a table, figures and JSON.")
    parser.add_argument("--data", required=True, metavar="URL", help="folder of the shards")
    parser.add_argument("--runs", required=True, metavar="URL", help="folder of the trainings' outputs")
    parser.add_argument("--work", required=True, metavar="URL", help="folder of what selection and aggregation wrote")
    parser.add_argument("--report", type=Path, default=step.temporary("report"), help="local folder for the same files")
    options = parser.parse_args(arguments)

    selection = storage.read_json(storage.join(options.work, SELECTION))
    aggregate = storage.read_json(storage.join(options.work, AGGREGATE))
    manifest = data.read_manifest(options.data)
    test = data.read(options.data, "test")
    probabilities = np.load(io.BytesIO(storage.read_bytes(storage.join(options.work, PREDICTIONS))))["ensemble"]
    trainings = {each["model"]: history(options.runs, each["model"]) for each in selection["candidates"]}

    result = summarise(manifest, selection, aggregate, trainings)
    files = {
        "result.json": (json.dumps(result, indent=2) + "\n").encode(),
        "report.md": table(result).encode(),
        "accuracy.png": png(figures.accuracies(selection, aggregate)),
        "confusion.png": png(figures.confusions(selection, aggregate, test.classes)),
        "predictions.png": png(figures.predictions(test.images, test.labels, probabilities, test.classes)),
        "latency.png": png(figures.latencies(selection, aggregate)),
        "learning.png": png(figures.learning({model: records for model, records in trainings.items() if records})),
    }
    options.report.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        storage.write_bytes(storage.join(options.work, "report", name), content)
        (options.report / name).write_bytes(content)
    print(table(result), flush=True)
    step.output(options.outputs, {"result": json.dumps(result), "report": storage.join(options.work, "report")})


def history(runs: str, model: str) -> list[dict]:
    """The records of a training, none where it wrote none. A line that was cut off by a kill is left out."""
    url = storage.join(runs, model, METRICS)
    if not storage.exists(url):
        return []
    records = []
    for line in storage.read_bytes(url).decode(errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def summarise(manifest: dict, selection: dict, aggregate: dict, trainings: dict[str, list[dict]]) -> dict:
    """The result in one small object: accuracies are shares from 0 to 1, times are seconds."""
    models = []
    for candidate in selection["candidates"]:
        records = trainings[candidate["model"]]
        ended = [record for record in records if record["event"] == "finished"]
        models.append(
            {
                "model": candidate["model"],
                "validation_accuracy": candidate["accuracy"],
                "reason": candidate.get("reason", ""),
                "steps": max((record.get("step", 0) for record in records), default=0),
                "resumed_at": [record["step"] for record in records if record["event"] == "resumed"],
                "seconds": ended[-1]["seconds"] if ended else None,
            }
        )
    return {
        "data": {key: manifest[key] for key in ("dataset", "source", "version")}
        | {name: part["examples"] for name, part in manifest["parts"].items()},
        "models": models,
        "note": selection["note"],
        "first": selection["first"]["model"],
        "second": selection["second"]["model"],
        "versions": {place: selection[place]["version"] for place in ("first", "second")},
        "test_accuracy": aggregate["accuracy"],
        "paired": aggregate["paired"],
        "confused": {
            who: most_confused(np.array(counts), manifest["classes"]) for who, counts in aggregate["confusion"].items()
        },
        "serving": {
            place: {key: value for key, value in served.items() if key != "seconds"}
            for place, served in aggregate["serving"].items()
        },
    }


def most_confused(counts: np.ndarray, classes: list[str]) -> dict:
    """The mistake that was made most often: `{"true": class, "taken_for": class, "images": count}`."""
    wrong = counts - np.diag(np.diag(counts))
    true, taken = np.unravel_index(np.argmax(wrong), wrong.shape)
    return {"true": classes[true], "taken_for": classes[taken], "images": int(wrong[true, taken])}


def share(accuracy: float, examples: int) -> str:
    """`84.2 % (81.0 to 86.9)`: a share and its 95 % interval."""
    low, high = interval(accuracy, examples)
    return f"{100 * accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def table(result: dict) -> str:
    """The report, in Markdown."""
    found, accuracy = result["data"], result["test_accuracy"]
    lines = [
        f"Data: {found['dataset']} from {found['source']}, version {found['version']}, "
        f"{found['train']} examples for training, {found['validation']} for selection, {found['test']} for the test.",
        "",
        "| model | accuracy on validation data | updates | resumed at | last attempt (s) |",
        "|---|---|---|---|---|",
    ]
    for each in result["models"]:
        known = each["validation_accuracy"]
        resumed = ", ".join(map(str, each["resumed_at"])) or "-"
        judged = each["reason"] if known is None else share(known, found["validation"])
        seconds = "-" if each["seconds"] is None else each["seconds"]
        lines.append(f"| {each['model']} | {judged} | {each['steps']} | {resumed} | {seconds} |")
    lines += [
        "",
        "| served | accuracy on test data | replicas | requests | half within (ms) | most within (ms) |",
        "|---|---|---|---|---|---|",
    ]
    for place in ("first", "second"):
        served = result["serving"][place]
        slow = served["tail"]
        lines.append(
            f"| {place}: {result[place]}, version {result['versions'][place]} | {share(accuracy[place], found['test'])} "
            f"| {len(served['pods'])} | {served['requests']} | {1000 * served['p50']:.1f} "
            f"| {slow['percentile']:g} %: {1000 * slow['seconds']:.1f} |"
        )
    lines.append(f"| both together | {share(accuracy['ensemble'], found['test'])} | | | | |")
    lines += ["", "The ranges in parentheses are 95 % intervals."]
    if result["note"]:
        lines += ["", f"Note: {result['note']}"]
    return "\n".join(lines) + "\n"


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(step.main(run))
