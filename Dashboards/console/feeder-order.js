// In which order feeders stand, and which of them are to be looked at.
"use strict";

/** Something holds there that asks for somebody, or nothing is known of its head. */
export const isToLookAt = feeder => feeder.direction === "unknown" || (feeder.worst_severity ?? 4) < 4;

/** What asks for attention first. By classes, not by values: a row moves when something happens, not with each measurement. */
export function byAttention(a, b) {
  const rank = feeder => [feeder.worst_severity ?? 5, feeder.direction === "unknown" ? 0 : 1, feeder.direction === "reverse" ? 0 : 1];
  const [x, y] = [rank(a), rank(b)];
  const place = x.findIndex((value, n) => value !== y[n]);
  return place < 0 ? byName(a, b) : x[place] - y[place];
}

export const byName = (a, b) => a.id.localeCompare(b.id, "en", { numeric: true });
