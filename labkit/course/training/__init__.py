"""Programs that a pod runs to train a model: `python -m labkit.course.training --data URL --out URL --model mlp`.

The same command trains on one machine or on many; TF_CONFIG alone decides (`task`). Importing this package does not
import TensorFlow, and no module here runs one of its operations at import.
"""
