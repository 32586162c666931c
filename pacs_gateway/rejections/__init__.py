"""Rejection notes of IHE RAD, IOCM: those that come are carried out, those that we owe are made."""
