"""Whatever dies, nothing acknowledged is lost and nothing happens twice."""
