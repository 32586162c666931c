"""Servers of other projects, to be measured beside hutong; none of them keeps what it acknowledges."""
