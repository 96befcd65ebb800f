"""Parents that fork: programs start in milliseconds, and none outlives who asked for it.

A *parent* (`python -m labkit.warm`) is a process with one control loop on a unix socket. It forks on request, hands its
child the descriptors that came with the request, reaps it and reports how it ended. A *plain* parent has imported
nothing and lets its children exec any program; a *warm* one has imported TensorFlow and its like (third-party modules
only, no op run, no secret held), and its children become a Python interpreter at once: `-m`, `-c`, a script or standard
input, with everything set as `python` would set it. When the socket closes, the parent kills its children and ends; on
Linux the kernel does it even when the parent can't.

`wire` is the protocol, `parent` the loop, `child` what happens between fork and program, `python` the interpreter that a
warm child becomes, `reread` what it must not have of its parent's environment; `spawn`, `client` and `sync` are what
others use: with an event loop, and without one.
"""
