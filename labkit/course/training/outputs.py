"""The files of a training's output folder, for whoever reads them: none of these names needs TensorFlow."""

METRICS = "metrics.jsonl"  # one JSON object a line, appended to
RUN = "run.json"  # whose folder it is
CHECKPOINTS = "checkpoints"
SAVED_MODEL = "saved_model"
RESULT = "result.json"  # written last: where it is, everything is
