"""A Kubernetes that somebody else runs: what must be there, what must be allowed, and what labkit puts into a namespace."""
