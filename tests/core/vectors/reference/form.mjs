// The generic form of any JSON value, and its canonical text.

import { bypass } from "./refusals.mjs";

const ORDERED = ["properties", "patternProperties", "$defs", "definitions"];
const MAX_DEPTH = 128;

export function settle(value, depth, exact) {
  if (value.kind === "int" || value.kind === "float") return settleNumber(value, exact);
  if (value.kind !== "array" && value.kind !== "object") return value;
  if (depth > MAX_DEPTH) bypass("nesting");
  if (value.kind === "array") return { kind: "array", items: value.items.map((item) => settle(item, depth + 1, exact)) };
  const schema = value.members.some(([name]) => ORDERED.includes(name));
  return { kind: "object", members: value.members.map(([name, v]) => [name, settleMember(name, v, depth + 1, exact || schema)]) };
}

export function settleMember(name, value, depth, exact) {
  if (!ORDERED.includes(name)) return settle(value, depth, exact);
  const settled = settle(value, depth, true);
  if (settled.kind === "object") return { kind: "array", items: settled.members.flatMap(([n, v]) => [{ kind: "text", value: n }, v]) };
  if (settled.kind === "array") return { kind: "object", members: [["", settled]] };
  return settled;
}

export function settleNumber(value, exact) {
  if ("number" in value) return value;
  if (value.kind === "int") {
    const number = BigInt(value.spelled);
    if (number <= -(10n ** 40n) || number >= 10n ** 40n) bypass("number");
    return { kind: "int", number };
  }
  const number = Number(value.spelled);
  if (exact || !Number.isInteger(number) || Math.abs(number) > 2 ** 53) return { kind: "float", number };
  return { kind: "int", number: BigInt(number) };
}

// ---- The canonical text ----

export function write(value) {
  switch (value.kind) {
    case "text": return writeString(value.value);
    case "int": return value.number.toString();
    case "float": return writeFloat(value.number);
    case "array": return `[${value.items.map(write).join(",")}]`;
    case "object": {
      const byName = ([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b));
      return `{${[...value.members].sort(byName).map(([name, v]) => `${writeString(name)}:${write(v)}`).join(",")}}`;
    }
    default: return value.kind;
  }
}

const SHORT = { '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function writeString(text) {
  let out = "";
  for (const c of text) out += SHORT[c] ?? (c < " " ? "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0") : c);
  return `"${out}"`;
}

// The shortest digits that name the double; positional for exponents -5 to 15, else d.ddde-7.
function writeFloat(number) {
  const sign = number < 0 || Object.is(number, -0) ? "-" : "";
  const [mantissa, exponentText] = Math.abs(number).toExponential().split("e");
  const digits = mantissa.replace(".", ""), exponent = Number(exponentText);
  if (exponent < -5 || exponent > 15) return sign + mantissa + "e" + exponent;
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const padded = digits.padEnd(exponent + 2, "0");
  return `${sign}${padded.slice(0, exponent + 1)}.${padded.slice(exponent + 1)}`;
}
