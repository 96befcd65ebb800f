"""Who may do what: Roles and their bindings, evaluated as Kubernetes does."""
