"""The spool: arriving objects in segment files that are written once and used again, flushed before status 0000."""
