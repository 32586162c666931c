"""HL7 v2 over MLLP: a receiver that listens, and a sender that delivers."""
