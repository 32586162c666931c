"""DICOMweb (PS3.18): studies are fetched, stored and looked for over HTTP."""
