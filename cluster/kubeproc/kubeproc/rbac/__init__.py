"""Role-based access control: Roles and their bindings, evaluated as in Kubernetes."""
