"""The engines that start, inspect and stop clusters. An engine is a module with `up(folder, ...)`, `down(folder, purge)` and
`status(folder)`; `labkit.cluster` knows them by name."""
