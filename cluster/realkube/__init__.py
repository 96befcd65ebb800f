"""labkit's engines for a real Kubernetes: `kind`, on this machine, and `existing`, one that is there already.

All that is installed is named in cluster/versions.yaml. Of labkit this package uses what lies below its engines, and labkit
loads an engine by name: whoever works on the embedded cluster never imports any of this.
"""
