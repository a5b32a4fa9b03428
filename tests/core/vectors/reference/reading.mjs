// Bytes to a tree in which numbers are text and objects are lists of pairs, or why there is none.

import { NotJson, Refused, Bypass, bypass } from "./refusals.mjs";

const NUMBER = /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

// `odd` is null for a strict reader; a lenient one notes there what a strict one would have refused.
function parse(text, odd) {
  let at = 0;
  const fail = () => { throw new NotJson(); };
  const space = () => { while (at < text.length && " \t\n\r".includes(text[at])) at++; };
  const take = (word) => text.startsWith(word, at) && ((at += word.length), true);

  function value(depth) {
    if (depth > 500) bypass("nesting");
    space();
    const first = text[at];
    if (first === "{") return object(depth);
    if (first === "[") return array(depth);
    if (first === '"') return { kind: "text", value: string() };
    for (const word of ["null", "true", "false"]) if (take(word)) return { kind: word };
    if (odd) for (const word of ["NaN", "Infinity", "-Infinity"]) if (take(word)) return odd.add("number"), { kind: "null" };
    return number();
  }

  function number() {
    NUMBER.lastIndex = at;
    const match = NUMBER.exec(text);
    if (!match) fail();
    at += match[0].length;
    const spelled = match[0], isFloat = match[2] !== undefined || match[3] !== undefined;
    const tooLong = spelled.replace(/[^0-9]/g, "").length > 40;
    if (isFloat && (tooLong || !Number.isFinite(Number(spelled)))) odd ? odd.add("number") : bypass("number");
    if (odd && tooLong) odd.add("number");
    return { kind: isFloat ? "float" : "int", spelled };
  }

  function string() {
    let out = "";
    at++;
    for (;;) {
      if (at >= text.length) fail();
      const c = text[at++];
      if (c === '"') break;
      if (c < " ") odd ? odd.add("control-character") : fail();
      if (c !== "\\") { out += c; continue; }
      const escape = text[at++];
      if (escape === "u") {
        const hex = text.slice(at, at + 4);
        if (!/^[0-9a-fA-F]{4}$/.test(hex)) fail();
        at += 4;
        out += String.fromCharCode(parseInt(hex, 16));
      } else if (escape !== undefined && Object.hasOwn(ESCAPES, escape)) out += ESCAPES[escape];
      else fail();
    }
    if (!out.isWellFormed()) odd ? odd.add("surrogate") : fail();
    return out;
  }

  function array(depth) {
    const items = [];
    at++; space();
    if (take("]")) return { kind: "array", items };
    for (;;) {
      items.push(value(depth + 1)); space();
      if (take("]")) return { kind: "array", items };
      if (!take(",")) fail();
    }
  }

  function object(depth) {
    const members = [];
    at++; space();
    if (take("}")) return { kind: "object", members };
    for (;;) {
      space();
      if (text[at] !== '"') fail();
      const name = string(); space();
      if (!take(":")) fail();
      members.push([name, value(depth + 1)]); space();
      if (take("}")) return { kind: "object", members };
      if (!take(",")) fail();
    }
  }

  const whole = value(1);
  space();
  if (at !== text.length) fail();
  return whole;
}

export function read(bytes) {
  let tree;
  try {
    tree = parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), null);
  } catch (error) {
    if (error instanceof Bypass) throw error;
    unreadable(bytes);
  }
  if (hasDuplicate(tree)) bypass("duplicate-key");
  if (tree.kind !== "object") bypass("field-type");
  return tree;
}

// Why a strict reader refuses: a reason word if a lenient one reads it, else a 400.
function unreadable(bytes) {
  const wide = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  let text, plain = false;
  if (wide) text = new TextDecoder(bytes[0] === 0xff ? "utf-16le" : "utf-16be").decode(bytes);
  else {
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      plain = !text.startsWith("\ufeff");
      text = text.replace(/^\ufeff/, "");
    } catch { text = new TextDecoder("utf-8").decode(bytes); }
  }
  const odd = new Set();
  try {
    parse(text, odd);
  } catch (error) {
    if (error instanceof Bypass) bypass(plain ? error.message : "utf8");
    throw new Refused(text.trim() ? "invalid_json" : "empty_body");
  }
  if (!plain) bypass("utf8");
  for (const word of ["surrogate", "number"]) if (odd.has(word)) bypass(word);
  bypass("control-character");
}

function hasDuplicate(value) {
  if (value.kind === "array") return value.items.some(hasDuplicate);
  if (value.kind !== "object") return false;
  return new Set(value.members.map(([name]) => name)).size !== value.members.length || value.members.some(([, v]) => hasDuplicate(v));
}
