"""The runnable front: a raw ASGI app that answers inference calls from the cache and forwards the rest."""
