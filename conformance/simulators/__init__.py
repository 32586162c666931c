"""The systems around a hub, played through sockets only and without a line of the hub's own codecs."""
