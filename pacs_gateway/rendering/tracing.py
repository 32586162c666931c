"""How is an ECG drawn? As on paper: 25 mm/s and 10 mm/mV on a 1 mm grid, in millimetres throughout.

Every text from outside is escaped; the drawing holds no script and refers to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from pacs_gateway.rendering.choices import Layout
from pacs_gateway.rendering.waveform import Ecg, Signal

SPEED_MM_PER_SECOND = 25.0
GAIN_MM_PER_MILLIVOLT = 10.0
SECONDS = 10.0
"""One page holds this much of every recording; more is read in a viewer of long recordings."""

_MARGIN = 5.0
_HEADER = 30.0
_FOOTER = 8.0
_CALIBRATION = 10.0
"""Room left of a row for its pulse of 1 mV and 0.2 s."""
_STRIP = SPEED_MM_PER_SECOND * SECONDS
_POINTS_PER_SECOND = 500
"""More would fall on the same 0.05 mm; the highest and lowest sample of each step are kept."""

_GRID_PAPER = "#fffafa"
_GRID_FINE, _GRID_BOLD, _INK = "#f6cfcf", "#e79a9a", "#111"


_ROWS: Mapping[Layout, tuple[tuple[str, ...], ...]] = {
    Layout.THREE_BY_FOUR: (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6")),
    Layout.SIX_BY_TWO: (("I", "V1"), ("II", "V2"), ("III", "V3"), ("aVR", "V4"), ("aVL", "V5"), ("aVF", "V6")),
}
_ROW_HEIGHT = {Layout.THREE_BY_FOUR: 35.0, Layout.SIX_BY_TWO: 25.0}
_RHYTHM = "II"


@dataclass(frozen=True, slots=True)
class Caption:
    """Who was recorded where, as text that is already decoded."""

    patient_name: str = ""
    patient_id: str = ""
    sex: str = ""
    birth_date: str = ""
    age: str = ""
    institution: str = ""
    accession: str = ""


_UNNAMED = Caption()


@dataclass(frozen=True, slots=True)
class _Strip:
    """One lead in one row: `at` millimetres from the row's start, from second `begin` to `end` of the recording."""

    lead: str
    signal: Signal
    at: float
    begin: float
    end: float


def svg(ecg: Ecg, caption: Caption = _UNNAMED, layout: Layout = Layout.THREE_BY_FOUR) -> str:
    """The first ten seconds. A recording without the twelve standard leads is drawn a lead to a row."""
    rows, height = _rows(ecg, layout)
    width = 2 * _MARGIN + _CALIBRATION + _STRIP
    face = "'Noto Sans CJK SC','Microsoft YaHei','PingFang SC',sans-serif"
    total = _HEADER + len(rows) * height + _FOOTER + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{total:g}mm"',
        f' viewBox="0 0 {width:g} {total:g}" font-family="{face}">',
        _definitions(),
        f'<rect width="{width:g}" height="{total:g}" fill="#fff"/>',
        *_header(ecg, caption),
        _paper(width, len(rows) * height),
    ]
    for number, row in enumerate(rows):
        baseline = _HEADER + number * height + height * 0.55
        parts.append(_pulse(baseline))
        parts.extend(_drawn(strip, ecg.rate_hz, baseline, height) for strip in row)
    parts += [_foot(ecg, total), "</svg>"]
    return "\n".join(parts)


def _rows(ecg: Ecg, layout: Layout) -> tuple[list[list[_Strip]], float]:
    wanted = _ROWS[layout]
    if not all(lead in ecg.leads for row in wanted for lead in row):
        return [[_whole(lead, ecg)] for lead in ecg.leads], _ROW_HEIGHT[Layout.SIX_BY_TWO]
    rows = [list(_side_by_side(row, ecg)) for row in wanted]
    return [*rows, [_whole(_RHYTHM, ecg)]], _ROW_HEIGHT[layout]


def _whole(lead: str, ecg: Ecg) -> _Strip:
    return _Strip(lead, ecg.leads[lead], 0.0, 0.0, min(ecg.seconds, SECONDS))


def _side_by_side(leads: Sequence[str], ecg: Ecg) -> Iterator[_Strip]:
    """Each lead for its share of the time; of a short recording, each from its beginning."""
    share = SECONDS / len(leads)
    for number, lead in enumerate(leads):
        begin = number * share if ecg.seconds >= SECONDS else 0.0
        yield _Strip(
            lead, ecg.leads[lead], number * share * SPEED_MM_PER_SECOND, begin, min(begin + share, ecg.seconds)
        )


def _drawn(strip: _Strip, rate_hz: float, baseline: float, height: float) -> str:
    left = _MARGIN + _CALIBRATION + strip.at
    first, last = round(strip.begin * rate_hz), round(strip.end * rate_hz)
    times, values = _thinned(strip.signal[first:last], rate_hz)
    xs = left + times * SPEED_MM_PER_SECOND
    ys = baseline - values * GAIN_MM_PER_MILLIVOLT
    lines = "".join(_path(xs, ys))
    mark = (
        ""
        if strip.at == 0
        else f'<path d="M{left:.2f} {baseline - 5:.2f}v10" stroke="{_INK}" stroke-width=".3" stroke-dasharray="1 .8"/>'
    )
    label = (
        f'<text x="{left + 1.5:.2f}" y="{baseline - height * 0.55 + 4.5:.2f}" font-size="4" font-weight="bold">'
        f"{_safe(strip.lead)}</text>"
    )
    return f'{mark}{label}<path d="{lines}" class="trace"/>'


def _thinned(signal: Signal, rate_hz: float) -> tuple[Signal, Signal]:
    """Seconds and millivolts of the samples worth drawing."""
    times = (np.arange(len(signal)) / rate_hz).astype(np.float32)
    step = int(rate_hz * 2 // _POINTS_PER_SECOND)
    if step < 3:
        return times, signal
    count = len(signal) // step * step
    if count == 0 or np.isnan(signal).any():
        return times, signal
    blocks = signal[:count].reshape(-1, step)
    starts = np.arange(len(blocks)) * step
    kept = np.sort(np.stack((starts + blocks.argmin(1), starts + blocks.argmax(1)), 1), axis=1).ravel()
    kept = np.unique(np.append(kept, np.arange(count, len(signal))))
    return times[kept], signal[kept]


def _path(xs: Signal, ys: Signal) -> Iterator[str]:
    """A line that is interrupted where nothing was measured."""
    pen = "M"
    for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
        if y != y:  # NaN
            pen = "M"
            continue
        yield f"{pen}{x:.2f} {y:.2f}"
        pen = "L"


def _pulse(baseline: float) -> str:
    half = 0.1 * SPEED_MM_PER_SECOND
    return (
        f'<path d="M{_MARGIN + 1:.2f} {baseline:.2f}h{half / 2:.2f}v{-GAIN_MM_PER_MILLIVOLT:.2f}h{2 * half:.2f}'
        f'v{GAIN_MM_PER_MILLIVOLT:.2f}h{half / 2:.2f}" class="trace"/>'
    )


def _definitions() -> str:
    return (
        f"<defs><style>.trace{{fill:none;stroke:{_INK};stroke-width:.28;stroke-linejoin:round}}text{{fill:{_INK}}}</style>"
        f'<pattern id="fine" width="1" height="1" patternUnits="userSpaceOnUse">'
        f'<path d="M0 0H1M0 0V1" stroke="{_GRID_FINE}" stroke-width=".12" fill="none"/></pattern>'
        f'<pattern id="bold" width="5" height="5" patternUnits="userSpaceOnUse">'
        f'<path d="M0 0H5M0 0V5" stroke="{_GRID_BOLD}" stroke-width=".24" fill="none"/></pattern></defs>'
    )


def _paper(width: float, height: float) -> str:
    area = f'x="{_MARGIN:g}" y="{_HEADER:g}" width="{width - 2 * _MARGIN:g}" height="{height:g}"'
    return (
        f'<rect {area} fill="{_GRID_PAPER}"/><rect {area} fill="url(#fine)"/>'
        f'<rect {area} fill="url(#bold)" stroke="{_GRID_BOLD}" stroke-width=".3"/>'
    )


_AGE = re.compile(r"(\d{3})([DWMY])")
_AGE_UNITS = {"D": "天", "W": "周", "M": "个月", "Y": "岁"}
_DATE = re.compile(r"\d{8}")
_SEXES = {"M": "男", "F": "女", "O": "其他"}


def _header(ecg: Ecg, caption: Caption) -> Iterator[str]:
    who = (
        _name(caption.patient_name),
        _SEXES.get(caption.sex, caption.sex),
        _age(caption.age),
        _day(caption.birth_date),
    )
    yield _line(8, 5.5, "bold", "　".join(text for text in who if text) or "未注明姓名")
    recorded = ecg.recorded_at.strftime("%Y-%m-%d %H:%M:%S") if ecg.recorded_at else ""
    facts = (
        ("患者编号", caption.patient_id),
        ("检查号", caption.accession),
        ("采集时间", recorded),
        ("机构", caption.institution),
    )
    yield _line(14, 3.4, "normal", "　".join(f"{name} {text}" for name, text in facts if text))
    yield _line(19.5, 3.4, "normal", "　".join(_measured(ecg.measurements)))
    if ecg.statements:
        yield _line(25, 3.4, "normal", f"设备自动判读（未经医师审核）：{'；'.join(ecg.statements)[:200]}")


def _name(value: str) -> str:
    """A PN as it is read: characters where there are some, else letters (PS3.5 annex J)."""
    groups = [group.strip("^ ") for group in value.split("=")[:2]]
    shown = next((group for group in reversed(groups) if group), "")
    return shown.replace("^", " " if shown.isascii() else "")


def _age(value: str) -> str:
    match = _AGE.fullmatch(value.strip())
    return f"{int(match.group(1))} {_AGE_UNITS[match.group(2)]}" if match else value


def _day(value: str) -> str:
    return f"{value[:4]}-{value[4:6]}-{value[6:]} 生" if _DATE.fullmatch(value) else value


def _measured(measurements: Mapping[str, float]) -> Iterator[str]:
    for name, text in (
        ("heart_rate", "心率 {:.0f} 次/分"),
        ("pr", "PR {:.0f} ms"),
        ("qrs", "QRS {:.0f} ms"),
    ):
        if name in measurements:
            yield text.format(measurements[name])
    for names, text in (
        (("qt", "qtc"), "QT/QTc {} ms"),
        (("p_axis", "qrs_axis", "t_axis"), "P/QRS/T 电轴 {}°"),
    ):
        if any(name in measurements for name in names):
            yield text.format("/".join(f"{measurements[n]:.0f}" if n in measurements else "–" for n in names))


def _foot(ecg: Ecg, total: float) -> str:
    band = f"　滤波 {ecg.filter_hz[0]:g}–{ecg.filter_hz[1]:g} Hz" if ecg.filter_hz else ""
    shown = f"　显示前 {SECONDS:g} 秒，全长 {ecg.seconds:.0f} 秒" if ecg.seconds > SECONDS + 0.5 else ""
    scale = f"{SPEED_MM_PER_SECOND:g} mm/s　{GAIN_MM_PER_MILLIVOLT:g} mm/mV　采样 {ecg.rate_hz:g} Hz{band}{shown}"
    return _line(total - _MARGIN, 3.2, "normal", scale)


def _line(y: float, size: float, weight: str, text: str) -> str:
    return f'<text x="{_MARGIN:g}" y="{y:g}" font-size="{size:g}" font-weight="{weight}">{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Escaped, and without the control characters that XML forbids."""
    return escape("".join(character for character in text if character.isprintable() or character == "\u3000"))
