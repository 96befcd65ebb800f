"""labkit: a lab kit for a course on distributed machine learning. Importing it never imports TensorFlow."""

__version__ = "0.1.0"
