"""The DICOM upper layer of PS3.8 and the command sets of PS3.7, without I/O and without a clock: bytes ↔ values.

`association.py` is the way in: `room` → read into it → `received` → `next_event` until there is none. Names are the
standard's: a PDU is A-ASSOCIATE-RQ and so on, a PDV one fragment of a message within a P-DATA-TF PDU, a message a
command set and perhaps a data set, a presentation context the pair of an abstract and a transfer syntax under an odd
number.
"""
