"""Queries of stored studies: what is asked, what matches, what is answered. Without a network; the services use it."""
