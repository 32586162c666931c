"""Object stores outside of this machine."""
