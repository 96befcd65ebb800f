"""Handing notebooks out. nbgrader's metadata and marks are the notebooks' own, so nbgrader itself can do it as well."""
