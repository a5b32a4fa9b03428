"""All effects: the clock, flights, background writes, the driver of the lookup, and the public cache."""
