"""Other people's protocols, each optional: origins over HTTP, the SDKs' transports, Requesty, metrics."""
