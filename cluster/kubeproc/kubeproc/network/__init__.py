"""A network for pods, without root: each pod has an address, its own ports and names, and nothing of it listens on the host.

`router` is a small process that owns the cluster's network namespace, which it makes in a user namespace, and routes between the
pods. It makes a network namespace for each pod, joined to its own by a pair of virtual interfaces (`rtnetlink`), and sockets in
any of them for the kubelet. `client` is the kubelet's side; `addresses` has the cluster's ranges, `names` is its DNS server.
See network_namespaces(7), veth(4), rtnetlink(7).
"""
