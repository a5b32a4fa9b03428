// Paths that the operator names.

import { write } from "./form.mjs";
import { get, isText } from "./objects.mjs";
import { bypass } from "./refusals.mjs";
import { settleMembers } from "./tables.mjs";

export function generic(body) {
  const out = settleMembers(body, {}, 2);
  const model = get(out, "model");
  if (isText(model) && model.value.startsWith("policy/")) bypass("policy-model");
  if (get(out, "stream")?.kind === "true") bypass("stream");
  return { canonical: write(out) };
}
