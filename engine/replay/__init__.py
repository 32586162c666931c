"""What would change if messages were understood by another configuration? Computed from the journal, never written."""
