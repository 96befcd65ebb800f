"""The environment variables that the cluster's processes read when they start."""

PORTABLE = "KUBEPROC_PORTABLE"  # "1": avoid features that only Linux has
LIFELINE = "KUBEPROC_LIFELINE"  # a file: the cluster ends when no process holds a lock on it any more (`lock`)
PREWARM = "KUBEPROC_PREWARM"  # "1": import at startup the modules that forked pods of the embedder's image use
