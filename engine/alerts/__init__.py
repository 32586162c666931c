"""What is wrong with the hub now, and who must know? Incidents: one for each cause, opened and closed by state."""
