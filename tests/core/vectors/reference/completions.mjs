// completions.

import { write } from "./form.mjs";
import { get, given, has, isEmpty, isOne, isText, isZero, put } from "./objects.mjs";
import { bypass, need } from "./refusals.mjs";
import { A, B, I, N, O, T, leaveOut, modelOf, settleMembers, startsWith, textsOf, whyNever } from "./tables.mjs";

const BODY = {
  model: [T, "value"], prompt: [`${T} ${A}`, "value"], models: [A, "value"],
  response_format: [O, "value", true], guided_json: [`${T} ${O}`, "value", true], structured_outputs: [O, "value", true],
  suffix: [T, "absent"], echo: [B, "absent"], best_of: [I, "absent"], n: [I, "absent"], stop: [`${T} ${A}`, "absent"],
  temperature: [N, "absent"], top_p: [N, "absent"], top_k: [I, "value"], seed: [I, "absent"], max_tokens: [I, "absent"],
  frequency_penalty: [N, "absent"], presence_penalty: [N, "absent"], logit_bias: [O, "absent"], logprobs: [I, "absent"],
  stream: [B, "absent"], stream_options: [O, "absent"], user: [T, "value"], requesty: [O, "value"],
};
const NEVER = [["functions", "origin-tool"], ["tools", "origin-tool"]];

export function completions(body, identityFields) {
  const model = modelOf(body);
  const provider = has(body, "models") ? "" : model;
  const out = settleMembers(body, BODY, 2, ["requesty"]);
  if (isText(get(out, "stop"))) put(out, "stop", { kind: "array", items: [get(out, "stop")] });
  textsOf(out, "stop");
  textsOf(out, "models");
  checkGenerated(out);
  const prompt = get(out, "prompt")?.items;
  if (prompt) {
    need(prompt.length > 0);
    need(prompt.every((token) => token.kind === "int") || prompt.every((one) => one.kind === "text" || one.kind === "array"));
  }
  const reason = whyNever(out, model, false, NEVER);
  const zero = (value) => isZero(value) && startsWith(provider, ["openai/", "azure/"]);
  const defaults = {
    n: isOne, echo: (value) => value.kind === "false", logit_bias: isEmpty, frequency_penalty: zero, presence_penalty: zero,
  };
  leaveOut(out, { fields: BODY, transport: ["stream", "stream_options"], identity: ["user"], defaults }, identityFields);
  if (reason) bypass(reason);
  return { canonical: write(out) };
}

// What chat/completions has too.
export function checkGenerated(body) {
  need(!given(body, "n") || get(body, "n").number >= 1n);
  if (given(body, "stream_options")) {
    const asked = get(get(body, "stream_options"), "include_usage");
    need(!asked || ["null", "true", "false"].includes(asked.kind));
  }
  if (given(body, "response_format")) need(isText(get(get(body, "response_format"), "type")));
}
