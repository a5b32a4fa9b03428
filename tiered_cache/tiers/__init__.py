"""Storage: one module per tier, each unaware of the others."""
