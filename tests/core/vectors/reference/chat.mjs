// chat/completions.

import { checkGenerated } from "./completions.mjs";
import { settle, settleMember, write } from "./form.mjs";
import { get, given, has, isEmpty, isOne, isText, isZero, put, remove } from "./objects.mjs";
import { bypass, need } from "./refusals.mjs";
import { A, B, I, N, O, T, dropMark, leaveOut, modelOf, row, settleMembers, settleParts, startsWith, textsOf, toolType, whyNever } from "./tables.mjs";

const BODY = {
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
const MESSAGE = {
  role: [T, "refused"], content: [`${T} ${A}`, "value"], name: [T, "value"], tool_call_id: [T, "value"],
  refusal: [T, "value"], reasoning_content: [T, "value"], reasoning_signature: [T, "value"],
  tool_calls: [A, "value", true], function_call: [O, "value", true], audio: [O, "value"],
};
const TRANSPORT = ["stream", "stream_options", "service_tier", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"];
const IDENTITY = ["user", "safety_identifier", "metadata"];
const ZERO_PENALTY = ["openai/", "azure/", "anthropic/", "google/", "vertex/", "mistral/"];

export function chat(body, identityFields) {
  const model = modelOf(body);
  const provider = has(body, "models") ? "" : model;
  const openai = startsWith(provider, ["openai/", "azure/"]);
  const out = settleMembers(body, BODY, 2, ["messages", "tools", "requesty"]);
  need(given(out, "messages"));
  for (const message of get(out, "messages").items) settleMessage(message, openai);
  const tools = get(out, "tools")?.items ?? [];
  const byOrigin = tools.length > 0 && settleTools(out, tools);
  if (isText(get(out, "stop"))) put(out, "stop", { kind: "array", items: [get(out, "stop")] });
  textsOf(out, "stop");
  textsOf(out, "models");
  checkGenerated(out);
  const reason = whyNever(out, model, byOrigin);
  leaveOut(out, { fields: BODY, transport: TRANSPORT, identity: IDENTITY, defaults: defaultsFor(provider, tools.length > 0) }, identityFields);
  if (reason) bypass(reason);
  return { canonical: write(out) };
}

function defaultsFor(provider, withTools) {
  const zero = (value) => isZero(value) && startsWith(provider, ZERO_PENALTY);
  return {
    n: isOne,
    logprobs: (value) => value.kind === "false",
    logit_bias: isEmpty,
    store: (value) => value.kind === "false",
    response_format: (value) => value.members?.length === 1 && isText(get(value, "type"), "text"),
    tool_choice: (value) => isText(value, "auto") && withTools,
    frequency_penalty: zero,
    presence_penalty: zero,
    parallel_tool_calls: (value) => value.kind === "true" && withTools && startsWith(provider, ["openai/", "azure/"]),
  };
}

function settleMessage(message, openai) {
  need(message.kind === "object" && isText(get(message, "role")));
  message.members = message.members.map(([name, value]) => {
    const known = row(MESSAGE, name);
    if (!known) return [name, settleMember(name, value, 4, false)];
    const [kinds, nullIs, exact] = known;
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
  const out = settleParts(part, 6, "input");
  dropMark(out);
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
    dropMark(out);
    const kind = toolType(out);
    if (kind === "function" || kind === "custom") need(get(out, kind)?.kind === "object" && isText(get(get(out, kind), "name")));
    else if (!startsWith(kind, ["web_search", "google_search"])) byOrigin = true;
    return out;
  });
  put(body, "tools", { kind: "array", items: settled });
  return byOrigin;
}
