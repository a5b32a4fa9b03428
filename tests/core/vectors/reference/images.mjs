// images/generations.

import { write } from "./form.mjs";
import { get, given, has, isOne, isText } from "./objects.mjs";
import { bypass, need } from "./refusals.mjs";
import { A, B, I, O, T, leaveOut, modelOf, settleMembers, startsWith, textsOf, whyNever } from "./tables.mjs";

const BODY = {
  model: [T, "value"], prompt: [T, "refused"], models: [A, "value"], n: [I, "absent"], seed: [I, "value"], size: [T, "absent"],
  quality: [T, "absent"], style: [T, "absent"], complexity: [T, "absent"], background: [T, "absent"], moderation: [T, "absent"],
  response_format: [T, "absent"], output_format: [T, "absent"], output_compression: [I, "absent"], frame_count: [I, "absent"],
  frame_duration_ms: [I, "absent"], svg: [O, "absent"], stream: [B, "absent"], partial_images: [I, "absent"],
  user: [T, "value"], safety_identifier: [T, "absent"], requesty: [O, "value"],
};
const NEVER = [["functions", "origin-tool"], ["tools", "origin-tool"]];

export function images(body, identityFields) {
  const model = modelOf(body);
  const openai = !has(body, "models") && startsWith(model, ["openai/", "azure/"]);
  const out = settleMembers(body, BODY, 2, ["requesty"]);
  need(given(out, "prompt"));
  need(!given(out, "n") || get(out, "n").number >= 1n);
  textsOf(out, "models");
  const reason = whyNever(out, model, false, NEVER) ?? (get(out, "stream")?.kind === "true" ? "stream" : null);
  const auto = (value) => openai && isText(value, "auto");
  const defaults = { n: isOne, background: auto, moderation: auto, quality: auto };
  leaveOut(out, { fields: BODY, transport: ["stream"], identity: ["user", "safety_identifier"], defaults }, identityFields);
  if (reason) bypass(reason);
  return { canonical: write(out) };
}
