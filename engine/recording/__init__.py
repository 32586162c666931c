"""Steps 8 to 10 of the walk, in one transaction: patients identified, resources recorded, deliveries owed."""

from engine.recording.late import Late
from engine.recording.record import Recorded, record
from engine.recording.replayed import Replayed

__all__ = ["Late", "Recorded", "Replayed", "record"]
