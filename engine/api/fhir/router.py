"""Which path is which FHIR interaction? http://hl7.org/fhir/R4/http.html#summary"""

from __future__ import annotations

from fastapi import APIRouter

from engine.api.fhir import history, metadata, read, search

router = APIRouter(prefix="/fhir", include_in_schema=False)
router.add_api_route("/metadata", metadata.metadata, methods=["GET"])
router.add_api_route("/{resource_type}", search.search_by_get, methods=["GET"])
router.add_api_route("/{resource_type}/_search", search.search_by_post, methods=["POST"])
router.add_api_route("/{resource_type}/{resource_id}", read.read, methods=["GET"])
router.add_api_route("/{resource_type}/{resource_id}/_history", history.history, methods=["GET"])
router.add_api_route("/{resource_type}/{resource_id}/_history/{version}", read.vread, methods=["GET"])
