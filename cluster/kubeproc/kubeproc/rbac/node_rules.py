"""The permissions of the kubelet, for the group `system:nodes`. No binding grants them, so no user can remove them.

They are the rules of a real cluster's node authorizer and of kube-proxy, whose work this kubelet does as well.
"""

from __future__ import annotations

from kubeproc.rbac.rules import Rule
from kubeproc.rbac.table import rules

TABLE = """
create | authentication.k8s.io | tokenreviews
create | authorization.k8s.io | localsubjectaccessreviews subjectaccessreviews
get,list,watch | core | services endpoints
list,watch | discovery.k8s.io | endpointslices
create,get,list,watch | core | nodes
patch,update | core | nodes nodes/status
create,patch,update | core | events
get,list,watch | core | pods
create,delete | core | pods
patch,update | core | pods/status
create | core | pods/eviction
get,list,watch | core | configmaps secrets
get | core | persistentvolumeclaims persistentvolumes serviceaccounts
get,patch,update | core | persistentvolumeclaims/status
create,delete,get,patch,update | coordination.k8s.io | leases
create | core | serviceaccounts/token
"""

RULES = tuple(Rule.of(rule) for rule in rules(TABLE))
