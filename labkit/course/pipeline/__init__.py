"""The steps of the end-to-end system, each a program that a workflow's pod runs: `python -m labkit.course.pipeline.ingest`.

    ingest > three trainings > select > two serving steps > aggregate > present

Data pass between them by URL below one folder; small results (names, versions) also as files that the workflow reads as
output parameters. Each step may be killed at any instant and run again: it finds its work done, or does it again.
"""
