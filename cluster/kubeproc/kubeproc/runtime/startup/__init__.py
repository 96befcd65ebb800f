"""Modules that a container's Python program imports first if paths are translated: this folder is on its PYTHONPATH."""
