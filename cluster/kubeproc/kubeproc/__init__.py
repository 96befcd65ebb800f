"""Kubernetes whose pods are processes: a server, a kubelet, and no container runtime."""

__version__ = "0.1.0"
