"""Files that a system writes into a folder."""
