// How are moments and durations written? Always the time of China, whatever the computer's clock says.

import { currentLanguage, t } from "./words.js";

const ZONE = "Asia/Shanghai";
const MINUTE = 60_000;

export function clockTime(moment) {
  return format(moment, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

export function dateTime(moment) {
  return format(moment, { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
}

/** A moment as it matters now: the time of today, the date and time of another day. */
export function shortTime(moment) {
  const sameDay = format(moment, { dateStyle: "short" }) === format(new Date(), { dateStyle: "short" });
  return sameDay ? format(moment, { hour: "2-digit", minute: "2-digit" }) : format(moment, { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
}

export function waited(since, now = new Date()) {
  const minutes = Math.max(0, Math.floor((now - new Date(since)) / MINUTE));
  if (minutes < 1) return t("duration.now");
  if (minutes < 60) return t("duration.minutes", { minutes });
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return t("duration.hours", { hours, minutes: minutes % 60 });
  return t("duration.days", { days: Math.floor(hours / 24), hours: hours % 24 });
}

/** Minutes a report is expected within: usual targets of county centres. */
const TARGETS = { ECG: { stat: 5, routine: 15 }, other: { stat: 30, routine: 120 } };

/** "late" after the target, "soon" after half of it, otherwise "fine". */
export function urgency(row, now = new Date()) {
  if (!row.waiting_since) return "fine";
  const targets = TARGETS[row.modality] ?? TARGETS.other;
  const target = row.priority === "routine" ? targets.routine : targets.stat;
  const minutes = (now - new Date(row.waiting_since)) / MINUTE;
  return minutes > target ? "late" : minutes > target / 2 ? "soon" : "fine";
}

export function age(text) {
  if (currentLanguage() === "zh") return text;
  return text.replace("约", "~").replace("岁", " y").replace("月", " mo").replace("天", " d");
}

function format(moment, options) {
  const locale = currentLanguage() === "zh" ? "zh-CN" : "en-GB";
  return new Intl.DateTimeFormat(locale, { timeZone: ZONE, hour12: false, ...options }).format(new Date(moment));
}
