"""How does a study get from hub to hub over a bad line? Announced first, then in pieces, resumed, whole, once."""
