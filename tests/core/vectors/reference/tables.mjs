// What a table says of an object's members, and what every dialect with tables shares.

import { settle, settleMember, settleNumber } from "./form.mjs";
import { get, given, has, isEmpty, isText, put, remove } from "./objects.mjs";
import { need } from "./refusals.mjs";

export const T = "text", I = "int", N = "int float", B = "true false", A = "array", O = "object";
export const startsWith = (text, prefixes) => prefixes.some((prefix) => text.startsWith(prefix));

// A row of a table of members is name: [types, null is, exact].
const REQUESTY = {
  auto_cache: [B, "value"], user_id: [T, "value"], trace_id: [T, "value"], tags: [A, "value"], extra: [O, "value"],
};
const REQUESTY_IDENTITY = ["user_id", "trace_id", "tags", "extra"];
const STATEFUL = [
  ["previous_response_id", "side-effect"], ["conversation", "side-effect"], ["container", "side-effect"], ["mcp_servers", "origin-tool"],
];

export const row = (fields, name) => (Object.hasOwn(fields, name) ? fields[name] : undefined);

function settleKnown(value, [kinds, nullIs, exact], depth, walkedApart) {
  if (value.kind === "null") {
    need(nullIs !== "refused");
    return value;
  }
  if (kinds.includes("int") && (value.kind === "int" || value.kind === "float")) value = settleNumber(value, false);
  need(kinds.split(" ").includes(value.kind));
  return walkedApart ? value : settle(value, depth, exact === true);
}

// The object with every member checked and settled; those of `walkedApart` are only checked.
export function settleMembers(object, fields, depth, walkedApart = []) {
  const members = object.members.map(([name, value]) => {
    const known = row(fields, name);
    return [name, known ? settleKnown(value, known, depth, walkedApart.includes(name)) : settleMember(name, value, depth, false)];
  });
  return { kind: "object", members };
}

// Steps 5 and 6 of the page, and `requesty`.
export function leaveOut(body, { fields, transport, identity, defaults = {} }, identityFields) {
  for (const [name, value] of [...body.members]) {
    const absent = value.kind === "null" && row(fields, name)?.[1] === "absent";
    const gone = transport.includes(name) || (identity.includes(name) && identityFields === "drop");
    if (absent || gone || row(defaults, name)?.(value)) remove(body, name);
  }
  if (given(body, "requesty")) leaveOutOfRequesty(body, identityFields);
}

function leaveOutOfRequesty(body, identityFields) {
  const settled = settleMembers(get(body, "requesty"), REQUESTY, 3);
  remove(settled, "auto_cache");
  if (identityFields === "drop") REQUESTY_IDENTITY.forEach((name) => remove(settled, name));
  if (isEmpty(settled)) remove(body, "requesty");
  else put(body, "requesty", settled);
}

export function modelOf(body) {
  const model = get(body, "model");
  need(!model || model.kind === "null" || model.kind === "text");
  return isText(model) ? model.value : "";
}

export function textsOf(body, name) {
  const items = get(body, name)?.items ?? [];
  items.forEach((item) => need(isText(item)));
  return items.map((item) => item.value);
}

// The reason words that every dialect with tools has, or null.
export function whyNever(body, model, byOrigin, more = []) {
  if (!model) return "no-model";
  if ([model, ...textsOf(body, "models")].some((name) => name.startsWith("policy/"))) return "policy-model";
  if (byOrigin) return "origin-tool";
  if (get(body, "store")?.kind === "true") return "side-effect";
  for (const [name, word] of [...STATEFUL, ...more]) if (given(body, name)) return word;
  return null;
}

// Takes the mark of the prompt cache off a part, block or tool.
export function dropMark(object) {
  if (has(object, "cache_control")) need(["object", "null"].includes(get(object, "cache_control").kind));
  remove(object, "cache_control");
}

// Members of an object that is no schema by what it holds; numbers of the `exact` one stay as they are.
export function settleParts(object, depth, exact, done = []) {
  const members = object.members.map(([name, value]) => [name, done.includes(name) ? value : settleMember(name, value, depth, name === exact)]);
  return { kind: "object", members };
}

// The type of a tool: `type`, or without one the name of its only member.
export function toolType(tool) {
  if (has(tool, "type")) need(isText(get(tool, "type")));
  return has(tool, "type") ? get(tool, "type").value : tool.members.length === 1 ? tool.members[0][0] : "";
}
