"""HTTP: FHIR under /fhir, the console and the reading room under /api, the browser's page at /."""
