"""What is sent? Registrations, orders and queries about people who do not exist."""

from __future__ import annotations


def encoded(*segments: str, charset: str = "utf-8") -> bytes:
    return ("\r".join(segments) + "\r").encode(charset)


def registration(
    patient: str,
    control_id: str,
    *,
    modes: str = "|",
    number: str = "",
    version: str = "2.5",
    name: str = "石^秀英",
    birth: str = "19630512",
    sex: str = "F",
    authority: str = "BSHIS",
    card: str = "",
    more: str = "",
    charset: str = "utf-8",
) -> bytes:
    identifiers = f"{patient}^^^{authority}^MR" + (f"~{card}^^^^NNCHN" if card else "")
    label = "|||GB 18030-2000" if charset == "gb18030" else ""
    return encoded(
        f"MSH|^~\\&|HIS|BS|HUTONG|HUB|20261121083000||ADT^A08|{control_id}|P|{version}|{number}||{modes}{label}",
        "EVN|A08|20261121083000",
        f"PID|1||{identifiers}||{name}||{birth}|{sex}|||柳树村3组^^青溪^^510000||13900000000{more}",
        charset=charset,
    )


def order(
    kind: str, control_id: str, *groups: str, modes: str = "|", patient: str = "P1", version: str = "2.5"
) -> bytes:
    return encoded(
        f"MSH|^~\\&|HIS|BS|HUTONG|HUB|20261121083000||{kind}|{control_id}|P|{version}|||{modes}",
        f"PID|1||{patient}^^^BSHIS^MR||石^秀英||19630512|F",
        *groups,
    )


def query(event: str, control_id: str, qpd: str, *more: str, version: str = "2.5", charset: str = "utf-8") -> bytes:
    label = "||||||GB 18030-2000" if charset == "gb18030" else ""
    return encoded(
        f"MSH|^~\\&|HIS|BS|HUTONG|HUB|20261121083000||QBP^{event}^QBP_Q21|{control_id}|P|{version}{label}",
        f"QPD|{qpd}",
        "RCP|I",
        *more,
        charset=charset,
    )
