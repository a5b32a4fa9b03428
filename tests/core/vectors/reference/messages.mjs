// Anthropic messages.

import { settle, write } from "./form.mjs";
import { get, given, has, isText, put } from "./objects.mjs";
import { bypass, need } from "./refusals.mjs";
import { A, B, I, N, O, T, dropMark, leaveOut, modelOf, settleMembers, settleParts, startsWith, textsOf, whyNever } from "./tables.mjs";

const BODY = {
  model: [T, "value"], messages: [A, "refused"], models: [A, "value"], system: [`${T} ${A}`, "value"],
  max_tokens: [I, "value"], temperature: [N, "value"], top_p: [N, "value"], top_k: [I, "value"],
  stop_sequences: [A, "value"], tools: [A, "value", true], tool_choice: [O, "value"], thinking: [O, "value"],
  output_config: [O, "value", true], output_format: [O, "value", true], context_management: [O, "value"],
  mcp_servers: [A, "value"], container: [`${T} ${O}`, "absent"], thread: [O, "absent"],
  inference_geo: [T, "absent"], speed: [T, "absent"], stream: [B, "value"], service_tier: [T, "value"],
  metadata: [O, "value"], requesty: [O, "value"],
};
const CLIENT_TOOLS = [
  "bash_20241022", "bash_20250124",
  "text_editor_20241022", "text_editor_20250124", "text_editor_20250429", "text_editor_20250728",
  "computer_20241022", "computer_20250124", "computer_20251124", "computer_toolset_20260801", "browser_toolset_20260801",
];

export function messages(body, identityFields) {
  const model = modelOf(body);
  const out = settleMembers(body, BODY, 2, ["system", "messages", "tools", "requesty"]);
  if (get(out, "system")?.kind === "array") put(out, "system", settleBlocks(get(out, "system"), 4, false));
  need(given(out, "messages"));
  put(out, "messages", { kind: "array", items: get(out, "messages").items.map(settleMessage) });
  const tools = get(out, "tools")?.items ?? [];
  const byOrigin = tools.length > 0 && settleTools(out, tools);
  for (const name of ["stop_sequences", "models"]) textsOf(out, name);
  if (given(out, "output_config")) checkFormat(get(out, "output_config"), "format");
  checkFormat(out, "output_format");
  const reason = whyNever(out, model, byOrigin, [["thread", "side-effect"]]);
  const auto = (value) => tools.length > 0 && value.members?.length === 1 && isText(get(value, "type"), "auto");
  leaveOut(out, { fields: BODY, transport: ["stream", "service_tier"], identity: ["metadata"], defaults: { tool_choice: auto } }, identityFields);
  if (reason) bypass(reason);
  return { canonical: write(out) };
}

function checkFormat(object, name) {
  if (given(object, name)) need(get(object, name).kind === "object" && isText(get(get(object, name), "type")));
}

function settleMessage(message) {
  need(message.kind === "object" && isText(get(message, "role")));
  const content = get(message, "content");
  need(content?.kind === "text" || content?.kind === "array");
  if (content.kind === "array") put(message, "content", settleBlocks(content, 6, true));
  return settleParts(message, 4, undefined, ["content"]);
}

// `depth` is the level of a block's values; `results` is whether a result's own blocks are looked into.
function settleBlocks(list, depth, results) {
  const blocks = list.items.map((block) => settleBlock(block, depth, results));
  if (blocks.length === 1 && blocks[0].members.length === 2 && isText(get(blocks[0], "type"), "text") && has(blocks[0], "text")) return get(blocks[0], "text");
  return { kind: "array", items: blocks };
}

function settleBlock(block, depth, results) {
  need(block.kind === "object" && isText(get(block, "type")));
  const kind = get(block, "type").value;
  if (kind === "text") need(isText(get(block, "text")));
  if (kind === "document" || kind === "image") need(get(block, "source")?.kind === "object");
  if (kind === "tool_use" || kind === "server_tool_use") need(get(block, "input")?.kind === "object");
  const nested = kind === "tool_result" && results && get(block, "content")?.kind === "array";
  if (nested) put(block, "content", settleBlocks(get(block, "content"), depth + 2, false));
  const out = settleParts(block, depth, "input", nested ? ["content"] : []);
  dropMark(out);
  return out;
}

function settleTools(body, tools) {
  let byOrigin = false;
  const settled = tools.map((tool) => {
    need(tool.kind === "object");
    const out = settle(tool, 3, true);
    dropMark(out);
    if (given(out, "type")) need(isText(get(out, "type")));
    const kind = given(out, "type") ? get(out, "type").value : "custom";
    if (kind === "custom") need(get(out, "input_schema")?.kind === "object" && isText(get(out, "name")));
    else if (!CLIENT_TOOLS.includes(kind) && !startsWith(kind, ["web_search_"])) byOrigin = true;
    return out;
  });
  put(body, "tools", { kind: "array", items: settled });
  return byOrigin;
}
