"""Model selection: every candidate answers the same held-out examples, and the best two go on to serving.

A candidate whose training failed has no result and is left out. If only one is left, both serving steps get it, and the
report says so. What is chosen becomes a version in the registry, so that it can be said later what served, and from which
data it came.
"""

from __future__ import annotations

import sys

import numpy as np

from labkit.course import data
from labkit.course.data import storage
from labkit.course.pipeline import step
from labkit.course.registry import Registry
from labkit.course.serving import Model
from labkit.course.training.outputs import RESULT, SAVED_MODEL
from labkit.errors import LabError

SELECTION = "selection.json"


def run(arguments: list[str]) -> None:
    parser = step.parser("select", "Choose the best two of several trained models.")
    parser.add_argument("--data", required=True, metavar="URL", help="folder of the shards")
    parser.add_argument("--runs", required=True, metavar="URL", help="folder with one training's output for each model")
    parser.add_argument("--models", required=True, help="the models' names, separated by commas, or as a JSON list")
    parser.add_argument("--out", required=True, metavar="URL", help="folder for selection.json")
    parser.add_argument("--registry", required=True, metavar="URL", help="folder of the models' versions")
    options = parser.parse_args(arguments)

    models = names(options.models)
    validation = data.read(options.data, "validation")
    candidates = [judge(model, storage.join(options.runs, model), validation) for model in models]
    selection = choose(candidates, data.read_manifest(options.data)["version"])
    for place in ("first", "second"):
        selection[place] = selection[place] | {"version": registered(Registry(options.registry), selection, place)}
    storage.write_json(storage.join(options.out, SELECTION), selection)
    if selection["note"]:
        print(selection["note"], flush=True)
    step.output(
        options.outputs,
        {f"{place}-{key}": selection[place][key] for place in ("first", "second") for key in ("model", "url")},
    )


def names(text: str) -> list[str]:
    """`a,b` or `["a", "b"]` as a list."""
    found = [name.strip(' "[]') for name in text.split(",")]
    if not all(found) or len(set(found)) != len(found):
        raise LabError(f"{text!r} is no list of different names", "write them as in linear,mlp,cnn")
    return found


def judge(model: str, url: str, validation: data.Dataset) -> dict:
    """A candidate's accuracy on the validation part, or why it has none."""
    if not storage.exists(storage.join(url, RESULT)):
        return {"model": model, "accuracy": None, "reason": "its training did not finish"}
    saved = storage.join(url, SAVED_MODEL)
    try:
        served = Model(model, saved)
    except (LabError, OSError, KeyError, ValueError) as error:
        return {"model": model, "accuracy": None, "reason": f"its model cannot be loaded: {error}"}
    answers = np.argmax(served.probabilities(validation.images), axis=1)
    accuracy = float(np.mean(answers == validation.labels))
    steps = storage.read_json(f"{url}/{RESULT}")["steps"]
    return {"model": model, "accuracy": accuracy, "examples": len(validation), "url": saved, "steps": steps}


def choose(candidates: list[dict], version: str) -> dict:
    """The best two by accuracy; of equal ones the earlier in the list."""
    able = sorted((each for each in candidates if each["accuracy"] is not None), key=lambda each: -each["accuracy"])
    if not able:
        reasons = "; ".join(f"{each['model']}: {each['reason']}" for each in candidates)
        raise LabError(f"no model can be selected ({reasons})", "look at the logs of the trainings' chiefs")
    lost = [each["model"] for each in candidates if each["accuracy"] is None]
    note = f"left out, since no usable model came of their training: {', '.join(lost)}. " if lost else ""
    if len(able) == 1:
        note += f"{able[0]['model']} is the only one left: both serving steps serve it."
    return {
        "data": version,
        "candidates": candidates,
        "first": able[0],
        "second": able[min(1, len(able) - 1)],
        "note": note.strip(),
    }


def registered(registry: Registry, selection: dict, place: str) -> int:
    """The number of the chosen model's version; the same one again where this step runs again."""
    chosen = selection[place]
    measures = {"validation_accuracy": chosen["accuracy"]}
    return registry.register(chosen["model"], chosen["url"], selection["data"], measures).number


if __name__ == "__main__":
    sys.exit(step.main(run))
