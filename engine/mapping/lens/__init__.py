"""The way back of a mapping: resources become a message again, and what could not be written is named."""

from engine.mapping.lens.written import Loss, WriteContext, Written

__all__ = ["Loss", "WriteContext", "Written"]
