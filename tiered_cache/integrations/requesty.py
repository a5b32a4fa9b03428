"""Requesty as an origin: where it is."""

GLOBAL_URL = "https://router.requesty.ai/v1"
EU_URL = "https://router.eu.requesty.ai/v1"
"""The API bases, as SDKs take them; answers of the one are never served for the other."""
