"""Presentation: what the system found, for people: a table, figures, and `result.json` for programs."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from labkit import data
from labkit.data import storage
from labkit.pipeline import figures, step
from labkit.pipeline.aggregate import AGGREGATE, PREDICTIONS
from labkit.pipeline.select import SELECTION
from labkit.training.outputs import METRICS


def run(arguments: list[str]) -> None:
    parser = step.parser("present", "Write the result as a table, figures and JSON.")
    parser.add_argument("--data", required=True, metavar="URL", help="folder of the shards")
    parser.add_argument("--runs", required=True, metavar="URL", help="folder of the trainings' outputs")
    parser.add_argument("--work", required=True, metavar="URL", help="folder of what selection and aggregation wrote")
    parser.add_argument("--report", type=Path, default=Path("/tmp/report"), help="local folder for the same files")
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
        "serving": {
            place: {key: value for key, value in served.items() if key != "seconds"}
            for place, served in aggregate["serving"].items()
        },
    }


def table(result: dict) -> str:
    """The report, in Markdown."""
    found, accuracy = result["data"], result["test_accuracy"]
    lines = [
        f"Data: {found['dataset']} from {found['source']}, version {found['version']}, "
        f"{found['train']} examples for training, {found['validation']} for selection, {found['test']} for the test.",
        "",
        "| model | accuracy on validation data | steps | resumed at | training (s) |",
        "|---|---|---|---|---|",
    ]
    for each in result["models"]:
        share = each["validation_accuracy"]
        resumed = ", ".join(map(str, each["resumed_at"])) or "-"
        judged = each["reason"] if share is None else f"{100 * share:.1f} %"
        seconds = "-" if each["seconds"] is None else each["seconds"]
        lines.append(f"| {each['model']} | {judged} | {each['steps']} | {resumed} | {seconds} |")
    lines += ["", "| served | accuracy on test data | replicas | p50 (ms) | p99 (ms) |", "|---|---|---|---|---|"]
    for place in ("first", "second"):
        served = result["serving"][place]
        lines.append(
            f"| {place}: {result[place]}, version {result['versions'][place]} | {100 * accuracy[place]:.1f} % "
            f"| {len(served['pods'])} | {1000 * served['p50']:.1f} | {1000 * served['p99']:.1f} |"
        )
    lines.append(f"| both together | {100 * accuracy['ensemble']:.1f} % | | | |")
    if result["note"]:
        lines += ["", f"Note: {result['note']}"]
    return "\n".join(lines) + "\n"


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(step.main(run))
