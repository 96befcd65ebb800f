"""Fixtures of the executor's and the Argo Server's tests: a real API server on loopback."""

from argo_serving import served

__all__ = ["served"]
