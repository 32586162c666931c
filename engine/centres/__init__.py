"""A shared centre's request: from asked to returned. Pure: no I/O and no clock."""

from engine.centres.people import Centre, Person
from engine.centres.request import (
    facility_of,
    open_request,
    order_cancelled,
    order_changed,
    returned,
    state_of,
    study_arrived,
    study_grew,
    study_left,
)
from engine.centres.states import Action, RequestState

__all__ = [
    "Action",
    "Centre",
    "Person",
    "RequestState",
    "facility_of",
    "open_request",
    "order_cancelled",
    "order_changed",
    "returned",
    "state_of",
    "study_arrived",
    "study_grew",
    "study_left",
]
