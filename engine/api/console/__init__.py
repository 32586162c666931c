"""The console: what hospital IT looks at to see how messages walked, what is owed and what waits for a person."""
