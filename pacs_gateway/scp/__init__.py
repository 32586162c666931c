"""The service class provider: one listening port, the associations on it and the services they may use."""
