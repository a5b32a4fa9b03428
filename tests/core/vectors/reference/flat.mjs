// The dialects whose bodies are flat: embeddings, rerank, moderations, speech.

import { write } from "./form.mjs";
import { get, given, has, isText, put } from "./objects.mjs";
import { bypass, need } from "./refusals.mjs";
import { A, I, N, O, T, leaveOut, modelOf, settleMembers, textsOf } from "./tables.mjs";

const EMBEDDINGS = {
  model: [T, "value"], input: [`${T} ${A}`, "refused"], dimensions: [I, "value"], user: [T, "value"],
  encoding_format: [T, "value"], input_type: [T, "value"], task: [T, "value"], models: [A, "value"], requesty: [O, "value"],
};
const SPLIT = ["model", "input", "dimensions", "user", "encoding_format", "input_type", "task"];
const RERANK = {
  model: [T, "value"], query: [`${T} ${O}`, "refused"], documents: [A, "refused"], top_n: [I, "value"], top_k: [I, "value"],
  models: [A, "value"], requesty: [O, "value"],
};
const MODERATIONS = { model: [T, "value"], input: [`${T} ${A}`, "refused"], models: [A, "value"], requesty: [O, "value"] };
const SPEECH = {
  model: [T, "value"], input: [T, "refused"], voice: [`${T} ${O}`, "value"], instructions: [T, "value"],
  response_format: [T, "value"], speed: [N, "value"], stream_format: [T, "value"], models: [A, "value"], requesty: [O, "value"],
};

// Settled, checked by `check`, without what is left out.
function flat(body, fields, identityFields, check, transport = [], identity = []) {
  const model = modelOf(body);
  const out = settleMembers(body, fields, 2, ["requesty"]);
  check(out);
  const never = [model, ...textsOf(out, "models")].some((name) => name.startsWith("policy/"));
  leaveOut(out, { fields, transport, identity }, identityFields);
  if (!model) bypass("no-model");
  if (never) bypass("policy-model");
  return out;
}

export function embeddings(body, identityFields) {
  const names = body.members.map(([name]) => name);
  const format = get(body, "encoding_format");
  const plain = names.every((name) => [...SPLIT, "models", "requesty"].includes(name)) && (!format || isText(format, "float") || isText(format, "base64"));
  const check = (out) => {
    need(has(out, "input"));
    const input = get(out, "input");
    need(input.kind === "text" || input.items.length > 0);
    if (input.kind === "text") put(out, "input", { kind: "array", items: [input] });
  };
  const out = flat(body, EMBEDDINGS, identityFields, check, plain ? ["encoding_format"] : [], ["user"]);
  const inputs = get(out, "input").items;
  const whole = inputs.length < 2 || !plain || !names.every((name) => SPLIT.includes(name)) || !(inputs.every((each) => isText(each)) || inputs.every(isTokens));
  const alone = (each) => write({ kind: "object", members: out.members.map(([name, value]) => [name, name === "input" ? { kind: "array", items: [each] } : value]) });
  return { canonical: write(out), elements: whole ? [] : inputs.map(alone) };
}

const isTokens = (value) => value.kind === "array" && value.items.length > 0 && value.items.every((token) => token.kind === "int");

export function rerank(body, identityFields) {
  const check = (out) => {
    need(has(out, "query") && get(out, "documents")?.items.length > 0);
    for (const name of ["top_n", "top_k"]) need(!given(out, name) || get(out, name).number >= 1n);
  };
  return { canonical: write(flat(body, RERANK, identityFields, check)) };
}

export function moderations(body, identityFields) {
  const check = (out) => need(has(out, "input") && get(out, "input").items?.length !== 0);
  return { canonical: write(flat(body, MODERATIONS, identityFields, check)) };
}

export function speech(body, identityFields) {
  const out = flat(body, SPEECH, identityFields, (said) => need(has(said, "input")));
  if (isText(get(out, "stream_format"), "sse")) bypass("stream");
  return { canonical: write(out) };
}
