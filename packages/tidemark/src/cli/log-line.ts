import type { Paint } from "./terminal.ts";

const LEVELS: Readonly<Record<number, string>> = { 10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal" };

/** The longest text of a fact that is shown. */
const FACT_CHARACTERS = 120;
/** The longest text of a fault: its cause stands at the end. */
const FAULT_CHARACTERS = 500;

/** A line of a role's log for people: time, role, level, message, facts. A line that is no JSON is shown as it is. */
export function formatLogLine(line: string, options: { role: string | undefined; paint: Paint }): string {
  const { role, paint } = options;
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
    if (typeof entry !== "object" || entry === null) throw new SyntaxError("no object");
  } catch {
    return role === undefined ? line : `${paint.dim(`${role} `)}${line}`; // Last words of a crash.
  }
  const { level, time, msg, role: _role, pid: _pid, err, ...facts } = entry;
  const name = LEVELS[Number(level)] ?? String(level);
  const paintLevel = Number(level) >= 50 ? paint.bad : Number(level) >= 40 ? paint.warn : paint.dim;
  const clock = typeof time === "string" ? time.slice(11, 23) : typeof time === "number" ? new Date(time).toISOString().slice(11, 23) : "";
  const parts = [
    paint.dim(clock),
    ...(role === undefined ? [] : [paint.strong(role)]),
    paintLevel(name),
    typeof msg === "string" ? msg : "",
  ];
  for (const [key, value] of Object.entries(facts))
    parts.push(paint.dim(`${key}=${shorten(typeof value === "string" ? value : JSON.stringify(value))}`));
  const fault = err as { message?: string; code?: string } | undefined;
  if (fault?.message !== undefined && fault.message !== msg)
    parts.push(paint.bad(shorten(`${fault.code ?? "error"}: ${fault.message}`, FAULT_CHARACTERS)));
  return parts.join(" ");
}

function shorten(text: string | undefined, most = FACT_CHARACTERS): string {
  const plain = text ?? "";
  return plain.length > most ? `${plain.slice(0, most - 1)}…` : plain;
}
