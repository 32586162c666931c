"""Which states can a request at a centre be in, and which action leads where?

awaiting-study → waiting → claimed → preliminary → reviewed → signed → returned
                    ↑         │↑          │
                    └ release ┘└ send-back┘            anything before signed → cancelled
"""

from __future__ import annotations

from enum import StrEnum


class RequestState(StrEnum):
    """Where a request stands: the code of Task.businessStatus."""

    AWAITING_STUDY = "awaiting-study"
    WAITING = "waiting"
    CLAIMED = "claimed"
    PRELIMINARY = "preliminary"
    """The reader has submitted; another person must review."""
    REVIEWED = "reviewed"
    SIGNED = "signed"
    """The report is final and owed to the requester."""
    RETURNED = "returned"
    """The requester's system has acknowledged the report."""
    CANCELLED = "cancelled"


class Action(StrEnum):
    """What can be done to a request."""

    OPEN = "open"
    CHANGE = "change"
    STUDY_ARRIVED = "study-arrived"
    STUDY_LEFT = "study-left"
    """The study was found to be of another order."""
    STUDY_GREW = "study-grew"
    """More of a study came after it had counted as whole."""
    CLAIM = "claim"
    RELEASE = "release"
    WRITE = "write"
    SUBMIT = "submit"
    APPROVE = "approve"
    SEND_BACK = "send-back"
    SIGN = "sign"
    RETURN = "return"
    CANCEL = "cancel"


DISPLAY = {
    RequestState.AWAITING_STUDY: "待检查",
    RequestState.WAITING: "待领取",
    RequestState.CLAIMED: "书写中",
    RequestState.PRELIMINARY: "待审核",
    RequestState.REVIEWED: "待签发",
    RequestState.SIGNED: "待回传",
    RequestState.RETURNED: "已回传",
    RequestState.CANCELLED: "已取消",
}
"""What the state is called on paper and on the screen."""

TASK_STATUS = {
    RequestState.AWAITING_STUDY: "requested",
    RequestState.WAITING: "requested",
    RequestState.CLAIMED: "in-progress",
    RequestState.PRELIMINARY: "in-progress",
    RequestState.REVIEWED: "in-progress",
    RequestState.SIGNED: "in-progress",
    RequestState.RETURNED: "completed",
    RequestState.CANCELLED: "cancelled",
}
"""FHIR R4 Task.status of each state; Task.businessStatus holds the state itself."""

BEFORE_SIGNATURE = frozenset(
    {
        RequestState.AWAITING_STUDY,
        RequestState.WAITING,
        RequestState.CLAIMED,
        RequestState.PRELIMINARY,
        RequestState.REVIEWED,
    }
)

STEPS: dict[Action, dict[RequestState, RequestState]] = {
    Action.CLAIM: {RequestState.WAITING: RequestState.CLAIMED},
    Action.RELEASE: {RequestState.CLAIMED: RequestState.WAITING},
    Action.WRITE: {RequestState.CLAIMED: RequestState.CLAIMED},
    Action.SUBMIT: {RequestState.CLAIMED: RequestState.PRELIMINARY},
    Action.APPROVE: {RequestState.PRELIMINARY: RequestState.REVIEWED},
    Action.SEND_BACK: {
        RequestState.PRELIMINARY: RequestState.CLAIMED,
        RequestState.REVIEWED: RequestState.CLAIMED,
    },
    Action.SIGN: {RequestState.REVIEWED: RequestState.SIGNED},
    Action.RETURN: {RequestState.SIGNED: RequestState.RETURNED},
    Action.CANCEL: dict.fromkeys(BEFORE_SIGNATURE, RequestState.CANCELLED),
}
"""From which states an action is allowed, and where it leads. What is not here is refused."""
