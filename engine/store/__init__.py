"""The only SQL of hutong: one file per question asked of PostgreSQL."""
