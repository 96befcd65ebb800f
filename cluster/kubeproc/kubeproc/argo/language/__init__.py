"""The language of `{{=...}}`: expr-lang with Go's values, the functions of sprig, and Go's regular expressions and dates.

`lexer` and `parser` build a tree, `checker` finds errors before evaluation, `evaluator` computes. `values` has the
representation of Go's types. This package knows nothing of workflows.
"""
