"""What the course's pods run, each a program of its own: `python -m labkit.course.training --help`.

`data` makes and reads data sets, `training` trains on them, `registry` keeps models and `serving` answers with one;
`pipeline` has the steps of the end-to-end system, which uses all of them. Of the rest of labkit they import `errors` only.
"""
