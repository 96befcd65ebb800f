"""A Kubernetes of its own on this machine: kind's nodes in Docker, the two operators, the lab image, an artifact store."""
