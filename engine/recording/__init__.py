"""Steps 8 to 10 of the walk, in one transaction: patients identified, resources recorded, deliveries owed."""

from engine.recording.book import Book
from engine.recording.late import Late
from engine.recording.record import Recorded, record
from engine.recording.replayed import Replayed
from engine.recording.strangers import find_strangers

__all__ = ["Book", "Late", "Recorded", "Replayed", "find_strangers", "record"]
