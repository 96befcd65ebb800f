"""Parents that fork: programs start in milliseconds, and none outlives its starter.

A *parent* (`python -m kubeproc.warm`) is a process with one control loop on a unix socket. It forks on request, hands its
child the descriptors that came with the request, reaps it and reports how it ended. A *plain* parent has imported
nothing and lets its children exec any program; a *warm* one has imported TensorFlow and its like (third-party modules
only, no op run, no secret held), and its children become a Python interpreter at once: `-m`, `-c`, a script or standard
input, with everything set as `python` would set it. When the socket closes, the parent kills its children and ends; on
Linux the kernel does it even when the parent can't.

`wire` is the protocol, `parent` the loop, `child` the steps between fork and program, `link` the child's line to its parent,
`python` the interpreter that a warm child becomes; `reread` replaces what modules have read from the parent's environment.
Starters use `spawn`, with `parent_client` on an event loop or `sync` without one.
"""
