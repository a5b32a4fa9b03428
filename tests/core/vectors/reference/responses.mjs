// The Responses API.

import { settle, write } from "./form.mjs";
import { get, given, has, isEmpty, isText, put, remove } from "./objects.mjs";
import { bypass, need } from "./refusals.mjs";
import { A, B, I, N, O, T, leaveOut, modelOf, settleMembers, settleParts, startsWith, textsOf, toolType, whyNever } from "./tables.mjs";

const BODY = {
  model: [T, "value"], input: [`${T} ${A}`, "refused"], instructions: [T, "absent"], models: [A, "value"],
  tools: [A, "value", true], tool_choice: [`${T} ${O}`, "value"], text: [O, "value", true], reasoning: [O, "absent"],
  include: [A, "absent"], temperature: [N, "absent"], top_p: [N, "absent"], top_logprobs: [I, "absent"],
  max_output_tokens: [I, "absent"], max_tool_calls: [I, "absent"], parallel_tool_calls: [B, "absent"],
  truncation: [T, "absent"], context_management: [A, "absent"], moderation: [O, "absent"], prompt: [O, "absent"],
  conversation: [`${T} ${O}`, "absent"], previous_response_id: [T, "absent"], background: [B, "absent"],
  store: [B, "value"], stream: [B, "absent"], stream_options: [O, "absent"], service_tier: [T, "absent"],
  prompt_cache_key: [T, "absent"], prompt_cache_options: [O, "absent"], prompt_cache_retention: [T, "absent"],
  user: [T, "value"], safety_identifier: [T, "absent"], metadata: [O, "absent"], requesty: [O, "value"],
};
const TRANSPORT = ["stream", "stream_options", "service_tier", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"];
const IDENTITY = ["user", "safety_identifier", "metadata"];
const CLIENT_TOOLS = ["function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview"];
const TOOL_ITEMS = ["additional_tools", "tool_search_output"];

export function responses(body, identityFields) {
  const model = modelOf(body);
  const provider = has(body, "models") || given(body, "prompt") ? "" : model;
  const openai = startsWith(provider, ["openai/", "azure/"]);
  const out = settleMembers(body, BODY, 2, ["input", "tools", "requesty"]);
  const said = { refers: false, byOrigin: false };
  if (has(out, "input")) put(out, "input", settleInput(get(out, "input"), openai, said));
  const tools = (get(out, "tools")?.items ?? []).map((tool) => settle(tool, 3, true));
  if (tools.length > 0) put(out, "tools", { kind: "array", items: tools });
  const byOrigin = anyByOrigin(tools) || said.byOrigin;
  textsOf(out, "models");
  checkFormat(out);
  const reason = whyNever(out, model, byOrigin) ?? sideEffect(out, said);
  leaveOut(out, { fields: BODY, transport: TRANSPORT, identity: IDENTITY, defaults: defaultsFor(openai, tools.length > 0) }, identityFields);
  if (openai && given(out, "text")) leaveOutFormat(out);
  if (reason) bypass(reason);
  return { canonical: write(out) };
}

function checkFormat(body) {
  const format = given(body, "text") && get(get(body, "text"), "format");
  if (format && format.kind !== "null") need(format.kind === "object" && isText(get(format, "type")));
}

function defaultsFor(openai, withTools) {
  if (!openai) return {};
  return {
    parallel_tool_calls: (value) => value.kind === "true",
    truncation: (value) => isText(value, "disabled"),
    tool_choice: (value) => isText(value, "auto") && withTools,
  };
}

function leaveOutFormat(body) {
  const text = get(body, "text"), format = get(text, "format");
  if (format?.members?.length === 1 && isText(get(format, "type"), "text")) remove(text, "format");
  if (isEmpty(text)) remove(body, "text");
}

function sideEffect(body, said) {
  if (get(body, "store")?.kind !== "false" || said.refers || get(body, "background")?.kind === "true") return "side-effect";
  if (given(body, "prompt") && !isText(get(get(body, "prompt"), "version"))) return "side-effect";
  const caching = given(body, "prompt_cache_options") ? get(body, "prompt_cache_options") : { members: [] };
  const asked = (name) => given(caching, name) && get(caching, name).kind !== "false";
  return asked("prewarm") || asked("comparison_response_id") ? "side-effect" : null;
}

function settleInput(input, openai, said) {
  if (input.kind === "text") {
    return { kind: "array", items: [{ kind: "object", members: [["role", { kind: "text", value: "user" }], ["content", input]] }] };
  }
  const items = input.items.map((item) => {
    need(item.kind === "object");
    const isMessage = has(item, "role") && (!has(item, "type") || isText(get(item, "type"), "message"));
    return isMessage ? settleMessage(item, openai) : settleItem(item, said);
  });
  return { kind: "array", items };
}

function settleMessage(message, openai) {
  const role = get(message, "role"), content = get(message, "content");
  need(isText(role) && (content?.kind === "text" || content?.kind === "array"));
  if (content.kind === "array") put(message, "content", settleContent(content, role.value));
  const out = settleParts(message, 4, undefined, ["content"]);
  if (openai && has(out, "type") && out.members.length === 3) remove(out, "type");
  return out;
}

function settleContent(content, role) {
  const parts = content.items.map((part) => {
    need(part.kind === "object" && isText(get(part, "type")));
    if (["input_text", "output_text"].includes(get(part, "type").value)) need(isText(get(part, "text")));
    return settleParts(part, 6);
  });
  const only = parts.length === 1 && role !== "assistant" ? parts[0] : null;
  if (only?.members.length === 2 && isText(get(only, "type"), "input_text")) return get(only, "text");
  return { kind: "array", items: parts };
}

function settleItem(item, said) {
  if (given(item, "type")) need(isText(get(item, "type")));
  const kind = given(item, "type") ? get(item, "type").value : null;
  if (kind === null || kind === "item_reference") said.refers = true;
  if (kind === "function_call") need(isText(get(item, "arguments")));
  if (kind === "custom_tool_call") need(isText(get(item, "input")));
  if (kind === "function_call_output" || kind === "custom_tool_call_output") need(["text", "array"].includes(get(item, "output")?.kind));
  const out = settle(item, 3, true);
  if (TOOL_ITEMS.includes(kind)) {
    need(get(out, "tools")?.kind === "array");
    if (anyByOrigin(get(out, "tools").items)) said.byOrigin = true;
  }
  return out;
}

// Whether the origin executes one of the tools in another way than by searching the web.
function anyByOrigin(tools) {
  return tools.map(executor).includes("origin");
}

function executor(tool) {
  need(tool.kind === "object");
  const kind = toolType(tool);
  if (kind === "function" || kind === "custom") need(isText(get(tool, "name")));
  if (kind === "namespace") {
    need(get(tool, "tools")?.kind === "array");
    return get(tool, "tools").items.map(executor).every((who) => who === "client") ? "client" : "origin";
  }
  if (kind === "tool_search") return isText(get(tool, "execution"), "client") ? "client" : "origin";
  if (CLIENT_TOOLS.includes(kind)) return "client";
  return kind.startsWith("web_search") ? "search" : "origin";
}
