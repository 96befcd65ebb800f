"""`python -m labkit.course.training`: one machine, or a member of a cluster, by what TF_CONFIG says."""

import sys

from labkit.course.training import program

if __name__ == "__main__":
    sys.exit(program.main(sys.argv[1:]))
