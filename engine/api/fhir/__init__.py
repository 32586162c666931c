"""FHIR R4 over HTTP, one interaction per file; the bodies are handed on as the record holds them."""
