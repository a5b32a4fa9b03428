"""A simulated Requesty, workloads and traces, and a Valkey to run beside: all on this machine."""
