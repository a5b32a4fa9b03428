// Header fields, partition and canonical text to a key; credentials to a tenant.

import { createHmac } from "node:crypto";

import { bypass } from "./refusals.mjs";
import { xxh3 } from "./xxh3.mjs";

const KEY_VERSION = 1;
const startsWith = (text, prefixes) => prefixes.some((prefix) => text.startsWith(prefix));

const KEY_HEADERS = [
  "anthropic-beta", "anthropic-version", "openai-beta", "openai-organization", "openai-project", "x-tiered-cache-variant",
];
const FOREIGN = ["x-portkey-", "helicone-", "x-litellm-", "cf-aig-", "x-openrouter-", "x-bt-"];

function isReplay(value) {
  const rate = /^tokens_per_s=([0-9]{1,6}(?:\.[0-9]{1,3})?)$/.exec(value);
  return rate ? Number(rate[1]) >= 1 && Number(rate[1]) <= 100000 : ["instant", "as-recorded"].includes(value);
}

export function keyFields(headers) {
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

export function keyOf(secret, call, fields, canonical) {
  const partition = delimited([call.dialect, call.origin_id, call.tenant, call.query, fields, call.identity_fields]);
  const text = Buffer.from(canonical);
  const seed = hmac(derived(secret, "seed"), partition).readBigUInt64LE(0);
  const digest = hmac(derived(secret, "digest"), Buffer.concat([partition, text]));
  return `${KEY_VERSION}-${xxh3(text, seed)}-${digest.toString("hex")}`;
}

export function tenantOf(secret, credentials) {
  const sorted = [...credentials].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return hmac(derived(secret, "tenant"), delimited(sorted.flat())).toString("hex");
}
