"""Tasks that run on the machines of a cluster."""
