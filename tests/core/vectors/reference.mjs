// The canonical form and the key a second time: slow, obvious, and without a line of the library.
//
// Written from docs/reference/canonical-form.md. Reads {secret, calls: [...]} as JSON on standard input, each call
// as a row of canonical-vectors.json, and writes an array of {canonical, key} | {bypass} | {error}.

import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

const KEY_VERSION = 1;

class Bypass extends Error {}
class Refused extends Error {}
class NotJson extends Error {}
const bypass = (word) => { throw new Bypass(word); };

// ---- Reading: bytes to a tree in which numbers are text and objects are lists of pairs ----

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

function read(bytes) {
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

// ---- The generic form ----

const ORDERED = ["properties", "patternProperties", "$defs", "definitions"];
const MAX_DEPTH = 128;

function settle(value, depth, exact) {
  if (value.kind === "int" || value.kind === "float") return settleNumber(value, exact);
  if (value.kind !== "array" && value.kind !== "object") return value;
  if (depth > MAX_DEPTH) bypass("nesting");
  if (value.kind === "array") return { kind: "array", items: value.items.map((item) => settle(item, depth + 1, exact)) };
  const schema = value.members.some(([name]) => ORDERED.includes(name));
  return { kind: "object", members: value.members.map(([name, v]) => [name, settleMember(name, v, depth + 1, exact || schema)]) };
}

function settleMember(name, value, depth, exact) {
  if (!ORDERED.includes(name)) return settle(value, depth, exact);
  const settled = settle(value, depth, true);
  if (settled.kind === "object") return { kind: "array", items: settled.members.flatMap(([n, v]) => [{ kind: "text", value: n }, v]) };
  if (settled.kind === "array") return { kind: "object", members: [["", settled]] };
  return settled;
}

function settleNumber(value, exact) {
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

function write(value) {
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

// ---- Objects ----

const get = (object, name) => object.members.find(([n]) => n === name)?.[1];
const has = (object, name) => get(object, name) !== undefined;
const put = (object, name, value) => { object.members.find(([n]) => n === name)[1] = value; };
const remove = (object, name) => { object.members = object.members.filter(([n]) => n !== name); };
const given = (object, name) => has(object, name) && get(object, name).kind !== "null";
const need = (condition) => { if (!condition) bypass("field-type"); };
const isText = (value, text) => value?.kind === "text" && (text === undefined || value.value === text);
const isOne = (value) => value.kind === "int" && value.number === 1n;
const isZero = (value) => value.kind === "int" && value.number === 0n;
const isEmpty = (value) => value.kind === "object" && value.members.length === 0;

// ---- chat/completions ----

const T = "text", I = "int", N = "int float", B = "true false", A = "array", O = "object";
// name: [kinds, null is, exact]
const CHAT = {
  model: [T, "value"], messages: [A, "refused"], models: [A, "value"],
  tools: [A, "value", true], tool_choice: [`${T} ${O}`, "value"],
  functions: [A, "value", true], function_call: [`${T} ${O}`, "value"],
  response_format: [O, "value", true], guided_json: [`${T} ${O}`, "value", true], structured_outputs: [O, "value", true],
  stop: [`${T} ${A}`, "absent"], temperature: [N, "absent"], top_p: [N, "absent"], top_k: [I, "value"],
  seed: [I, "absent"], n: [I, "absent"], max_tokens: [I, "absent"], max_completion_tokens: [I, "absent"],
  frequency_penalty: [N, "absent"], presence_penalty: [N, "absent"], logit_bias: [O, "absent"],
  logprobs: [B, "absent"], top_logprobs: [I, "absent"], modalities: [A, "absent"], audio: [O, "absent"],
  prediction: [O, "absent"], reasoning_effort: [T, "absent"], verbosity: [T, "absent"],
  parallel_tool_calls: [B, "value"], web_search_options: [O, "value"], store: [B, "value"],
  stream: [B, "absent"], stream_options: [O, "absent"], service_tier: [T, "absent"],
  prompt_cache_key: [T, "absent"], prompt_cache_options: [O, "absent"], prompt_cache_retention: [T, "absent"],
  user: [T, "value"], safety_identifier: [T, "absent"], metadata: [O, "absent"], requesty: [O, "value"],
};
const REQUESTY = {
  auto_cache: [B, "value"], user_id: [T, "value"], trace_id: [T, "value"], tags: [A, "value"], extra: [O, "value"],
};
const MESSAGE = {
  role: [T, "refused"], content: [`${T} ${A}`, "value"], name: [T, "value"], tool_call_id: [T, "value"],
  refusal: [T, "value"], reasoning_content: [T, "value"], reasoning_signature: [T, "value"],
  tool_calls: [A, "value", true], function_call: [O, "value", true], audio: [O, "value"],
};
const TRANSPORT = [
  "stream", "stream_options", "service_tier", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "auto_cache",
];
const IDENTITY = ["user", "safety_identifier", "metadata"];
const REQUESTY_IDENTITY = ["user_id", "trace_id", "tags", "extra"];
const STATEFUL = [
  ["previous_response_id", "side-effect"], ["conversation", "side-effect"], ["container", "side-effect"], ["mcp_servers", "origin-tool"],
];
const ZERO_PENALTY = ["openai/", "azure/", "anthropic/", "google/", "vertex/", "mistral/"];
const startsWith = (text, prefixes) => prefixes.some((prefix) => text.startsWith(prefix));

function settleKnown(name, value, [kinds, nullIs, exact], depth) {
  if (value.kind === "null") {
    need(nullIs !== "refused");
    return value;
  }
  if (kinds.includes("int") && (value.kind === "int" || value.kind === "float")) value = settleNumber(value, false);
  need(kinds.split(" ").includes(value.kind));
  return name === "messages" || name === "requesty" || name === "tools" ? value : settle(value, depth, exact === true);
}

function chat(body, identity) {
  const model = get(body, "model");
  need(!model || model.kind === "null" || model.kind === "text");
  const id = isText(model) ? model.value : "";
  const provider = has(body, "models") ? "" : id;
  const openai = startsWith(provider, ["openai/", "azure/"]);
  const out = { kind: "object", members: [] };
  for (const [name, value] of body.members) {
    const known = Object.hasOwn(CHAT, name) ? CHAT[name] : undefined;
    out.members.push([name, known ? settleKnown(name, value, known, 2) : settleMember(name, value, 2, false)]);
  }
  need(given(out, "messages"));
  for (const message of get(out, "messages").items) settleMessage(message, openai);
  const tools = get(out, "tools")?.items ?? [];
  const byOrigin = tools.length > 0 && settleTools(out, tools);
  if (isText(get(out, "stop"))) put(out, "stop", { kind: "array", items: [get(out, "stop")] });
  for (const text of get(out, "stop")?.items ?? []) need(isText(text));
  const reason = whyBypassed(out, id, byOrigin);
  leaveOut(out, identity, provider, tools.length > 0);
  if (given(out, "requesty")) settleRequesty(out, identity);
  if (reason) bypass(reason);
  return write(out);
}

function whyBypassed(body, id, byOrigin) {
  need(!given(body, "n") || get(body, "n").number >= 1n);
  const models = get(body, "models")?.items ?? [];
  models.forEach((name) => need(isText(name)));
  if (given(body, "stream_options")) {
    const asked = get(get(body, "stream_options"), "include_usage");
    need(!asked || ["null", "true", "false"].includes(asked.kind));
  }
  if (given(body, "response_format")) need(isText(get(get(body, "response_format"), "type")));
  if (!id) return "no-model";
  if (id.startsWith("policy/")) return "policy-model";
  if (byOrigin) return "origin-tool";
  if (models.some((name) => name.value.startsWith("policy/"))) return "policy-model";
  if (get(body, "store")?.kind === "true") return "side-effect";
  for (const [name, word] of STATEFUL) if (given(body, name)) return word;
  return null;
}

function leaveOut(body, identity, provider, withTools) {
  for (const [name, value] of [...body.members]) {
    const saysNothing = {
      n: () => isOne(value),
      logprobs: () => value.kind === "false",
      logit_bias: () => isEmpty(value),
      store: () => value.kind === "false",
      response_format: () => value.members?.length === 1 && isText(get(value, "type"), "text"),
      tool_choice: () => isText(value, "auto") && withTools,
      frequency_penalty: () => isZero(value) && startsWith(provider, ZERO_PENALTY),
      presence_penalty: () => isZero(value) && startsWith(provider, ZERO_PENALTY),
      parallel_tool_calls: () => value.kind === "true" && withTools && startsWith(provider, ["openai/", "azure/"]),
      requesty: () => isEmpty(value),
    };
    const absent = value.kind === "null" && Object.hasOwn(CHAT, name) && CHAT[name][1] === "absent";
    const transport = TRANSPORT.includes(name) && name !== "auto_cache";
    const anyone = IDENTITY.includes(name) && identity === "drop";
    if (absent || transport || anyone || (Object.hasOwn(saysNothing, name) && saysNothing[name]())) remove(body, name);
  }
}

function settleRequesty(body, identity) {
  const left = [];
  for (const [name, value] of get(body, "requesty").members) {
    const known = Object.hasOwn(REQUESTY, name) ? REQUESTY[name] : undefined;
    const settled = known ? settleKnown(name, value, known, 3) : settleMember(name, value, 3, false);
    if (name !== "auto_cache" && !(identity === "drop" && REQUESTY_IDENTITY.includes(name))) left.push([name, settled]);
  }
  if (left.length) put(body, "requesty", { kind: "object", members: left });
  else remove(body, "requesty");
}

function settleMessage(message, openai) {
  need(message.kind === "object" && isText(get(message, "role")));
  message.members = message.members.map(([name, value]) => {
    if (!Object.hasOwn(MESSAGE, name)) return [name, settleMember(name, value, 4, false)];
    const [kinds, nullIs, exact] = MESSAGE[name];
    if (value.kind === "null" && nullIs === "value") return [name, value];
    need(kinds.split(" ").includes(value.kind));
    if (name === "content") return [name, settleContent(value, openai)];
    if (name === "tool_calls") value.items.forEach(checkToolCall);
    return [name, settle(value, 4, exact === true)];
  });
}

function checkToolCall(call) {
  need(call.kind === "object");
  for (const [kind, verbatim] of [["function", "arguments"], ["custom", "input"]]) {
    if (given(call, kind)) need(get(call, kind).kind === "object" && isText(get(get(call, kind), verbatim)));
  }
}

function settleContent(content, openai) {
  if (content.kind === "text") return content;
  const parts = content.items.map((part) => settlePart(part, openai));
  if (parts.length === 1 && parts[0].members.length === 2 && isText(get(parts[0], "type"), "text") && has(parts[0], "text")) return get(parts[0], "text");
  return { kind: "array", items: parts };
}

function settlePart(part, openai) {
  need(part.kind === "object" && isText(get(part, "type")));
  if (isText(get(part, "type"), "text")) need(isText(get(part, "text")));
  const out = { kind: "object", members: part.members.map(([name, value]) => [name, settleMember(name, value, 6, name === "input")]) };
  if (has(out, "cache_control")) need(["object", "null"].includes(get(out, "cache_control").kind));
  remove(out, "cache_control");
  if (isText(get(out, "type"), "image_url")) {
    const image = get(out, "image_url");
    need(image?.kind === "object" && isText(get(image, "url")));
    if (openai && isText(get(image, "detail"), "auto")) remove(image, "detail");
  }
  return out;
}

// Settles the tools; whether the origin executes one that is not web search.
function settleTools(body, tools) {
  let byOrigin = false;
  const settled = tools.map((tool) => {
    need(tool.kind === "object");
    const out = settle(tool, 3, true);
    if (has(out, "cache_control")) need(["object", "null"].includes(get(out, "cache_control").kind));
    remove(out, "cache_control");
    if (has(out, "type")) need(isText(get(out, "type")));
    const kind = has(out, "type") ? get(out, "type").value : out.members.length === 1 ? out.members[0][0] : "";
    if (kind === "function" || kind === "custom") need(get(out, kind)?.kind === "object" && isText(get(get(out, kind), "name")));
    else if (!startsWith(kind, ["web_search", "google_search"])) byOrigin = true;
    return out;
  });
  put(body, "tools", { kind: "array", items: settled });
  return byOrigin;
}

const DIALECTS = { "chat/completions": chat };

// ---- Header fields ----

const KEY_HEADERS = [
  "anthropic-beta", "anthropic-version", "openai-beta", "openai-organization", "openai-project", "x-tiered-cache-variant",
];
const FOREIGN = ["x-portkey-", "helicone-", "x-litellm-", "cf-aig-", "x-openrouter-", "x-bt-"];

function isReplay(value) {
  const rate = /^tokens_per_s=([0-9]{1,6}(?:\.[0-9]{1,3})?)$/.exec(value);
  return rate ? Number(rate[1]) >= 1 && Number(rate[1]) <= 100000 : ["instant", "as-recorded"].includes(value);
}

function keyFields(headers) {
  const said = new Map();
  for (const [name, value] of headers) {
    const text = value.replace(/^[ \t]+|[ \t]+$/g, "");
    said.set(name, said.has(name) ? `${said.get(name)}, ${text}` : text);
  }
  for (const name of said.keys()) {
    if (startsWith(name, FOREIGN)) bypass("foreign-control");
    if (name.startsWith("x-tiered-cache-") && !["x-tiered-cache-replay", "x-tiered-cache-ttl", "x-tiered-cache-variant"].includes(name)) bypass("unknown-control");
  }
  if (said.has("x-tiered-cache-ttl") && !said.get("x-tiered-cache-ttl").split(",").every((ttl) => /^[0-9]+$/.test(ttl.trim()))) bypass("bad-ttl");
  if (said.has("x-tiered-cache-replay") && !isReplay(said.get("x-tiered-cache-replay"))) bypass("bad-replay");
  const present = KEY_HEADERS.filter((name) => said.has(name));
  return Buffer.concat(present.map((name) => {
    const value = Buffer.from(said.get(name));
    return Buffer.concat([Buffer.from(`${name.length}:${name}${value.length}:`), value]);
  }));
}

// ---- The key ----

const hmac = (key, data) => createHmac("sha256", key).update(data).digest();
const derived = (secret, purpose) => hmac(secret, `tiered-cache v1 ${purpose}`);

function delimited(parts) {
  return Buffer.concat(parts.flatMap((part) => {
    const bytes = Buffer.from(part), length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    return [length, bytes];
  }));
}

function keyOf(secret, call, fields, canonical) {
  const partition = delimited([call.dialect, call.origin_id, call.tenant, call.query, fields, call.identity_fields]);
  const text = Buffer.from(canonical);
  const seed = hmac(derived(secret, "seed"), partition).readBigUInt64LE(0);
  const digest = hmac(derived(secret, "digest"), Buffer.concat([partition, text]));
  return `${KEY_VERSION}-${xxh3(text, seed)}-${digest.toString("hex")}`;
}

function tenantOf(secret, credentials) {
  const sorted = [...credentials].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return hmac(derived(secret, "tenant"), delimited(sorted.flat())).toString("hex");
}

// ---- XXH3, 128 bits, seeded (its specification: github.com/Cyan4973/xxHash); no canonical text is under 17 bytes ----

const SECRET = Buffer.from(
  "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221" +
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb" +
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e",
  "hex",
);
const [P32_1, P32_2, P32_3] = [0x9e3779b1n, 0x85ebca77n, 0xc2b2ae3dn];
const [P1, P2, P3, P4, P5] = [0x9e3779b185ebca87n, 0xc2b2ae3d27d4eb4fn, 0x165667b19e3779f9n, 0x85ebca77c2b2ae63n, 0x27d4eb2f165667c5n];
const u64 = (n) => BigInt.asUintN(64, n);
const word = (bytes, at) => bytes.readBigUInt64LE(at);
const fold = (a, b) => u64(a * b) ^ ((a * b) >> 64n);

function avalanche(h) {
  h ^= h >> 37n;
  h = u64(h * 0x165667919e3779f9n);
  return h ^ (h >> 32n);
}

function mix16(text, at, key, seed) {
  return fold(word(text, at) ^ u64(word(SECRET, key) + seed), word(text, at + 8) ^ u64(word(SECRET, key + 8) - seed));
}

function mix32([low, high], text, one, two, key, seed) {
  low = u64(low + mix16(text, one, key, seed)) ^ u64(word(text, two) + word(text, two + 8));
  high = u64(high + mix16(text, two, key + 16, seed)) ^ u64(word(text, one) + word(text, one + 8));
  return [low, high];
}

function finish([low, high], length, seed) {
  const top = u64(low * P1 + high * P4 + (length - seed) * P2);
  return [avalanche(u64(low + high)), u64(-avalanche(top))];
}

function short(text, seed) {
  const size = text.length;
  let acc = [u64(BigInt(size) * P1), 0n];
  if (size <= 128) {
    for (const far of [48, 32, 16, 0]) if (size > 2 * far) acc = mix32(acc, text, far, size - far - 16, 2 * far, seed);
    return finish(acc, BigInt(size), seed);
  }
  for (let i = 32; i < 160; i += 32) acc = mix32(acc, text, i - 32, i - 16, i - 32, seed);
  acc = acc.map(avalanche);
  for (let i = 160; i <= size; i += 32) acc = mix32(acc, text, i - 32, i - 16, i - 157, seed);
  return finish(mix32(acc, text, size - 16, size - 32, 103, u64(-seed)), BigInt(size), seed);
}

function long(text, seed) {
  const secret = Buffer.alloc(192), size = text.length;
  for (let i = 0; i < 192; i += 16) {
    secret.writeBigUInt64LE(u64(word(SECRET, i) + seed), i);
    secret.writeBigUInt64LE(u64(word(SECRET, i + 8) - seed), i + 8);
  }
  const acc = [P32_3, P1, P2, P3, P4, P32_2, P5, P32_1];
  const stripe = (at, key) => {
    for (let i = 0; i < 8; i++) {
      const value = word(text, at + 8 * i), mixed = value ^ word(secret, key + 8 * i);
      acc[i ^ 1] = u64(acc[i ^ 1] + value);
      acc[i] = u64(acc[i] + (mixed & 0xffffffffn) * (mixed >> 32n));
    }
  };
  const stripes = Math.floor((size - 1) / 64);
  for (let n = 0; n < stripes; n++) {
    stripe(64 * n, 8 * (n % 16));
    if (n % 16 === 15) for (let i = 0; i < 8; i++) acc[i] = u64((acc[i] ^ (acc[i] >> 47n) ^ word(secret, 128 + 8 * i)) * P32_1);
  }
  stripe(size - 64, 121);
  const merge = (key, start) => {
    for (let i = 0; i < 4; i++) start += fold(acc[2 * i] ^ word(secret, key + 16 * i), acc[2 * i + 1] ^ word(secret, key + 16 * i + 8));
    return avalanche(u64(start));
  };
  return [merge(11, u64(BigInt(size) * P1)), merge(117, u64(~(BigInt(size) * P2)))];
}

function xxh3(text, seed) {
  const [low, high] = text.length <= 240 ? short(text, seed) : long(text, seed);
  return high.toString(16).padStart(16, "0") + low.toString(16).padStart(16, "0");
}

// ---- In and out ----

function answer(secret, call) {
  try {
    const fields = keyFields(call.headers);
    const bytes = Buffer.from(call.raw_base64, "base64");
    const canonical = DIALECTS[call.dialect](read(bytes), call.identity_fields);
    return { canonical, key: keyOf(secret, call, fields, canonical) };
  } catch (error) {
    if (error instanceof Bypass) return { bypass: error.message };
    if (error instanceof Refused) return { error: error.message };
    throw error;
  }
}

const asked = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify({
  dialects: Object.keys(DIALECTS),
  calls: asked.calls.map((call) => (Object.hasOwn(DIALECTS, call.dialect) ? answer(asked.secret, call) : null)),
  tenants: asked.tenants.map((credentials) => tenantOf(asked.secret, credentials)),
}));
