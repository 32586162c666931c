"""The service class user: associations that we ask for, and what is asked over them."""
