"""A real Kubernetes on this machine: kind's nodes in Docker, the Training Operator, Argo Workflows and the lab image.

`engine` has the same three functions as the embedded cluster's. All that is installed is named in cluster/versions.yaml;
where no registry can be reached a bundle (`bundle`) brings it.
"""
