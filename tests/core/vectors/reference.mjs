// The canonical form and the key a second time: slow, obvious, and without a line of the library.
//
// Written from docs/reference/canonical-form.md. Reads {secret, calls: [...], tenants: [...]} as JSON on standard
// input, each call as a row of canonical-vectors.json with no default left out, and writes for each
// {canonical, key, elements} | {bypass} | {error}. Elements are the keys of the calls that a call is a batch of.

import { readFileSync } from "node:fs";

import { chat } from "./reference/chat.mjs";
import { completions } from "./reference/completions.mjs";
import { embeddings, moderations, rerank, speech } from "./reference/flat.mjs";
import { generic } from "./reference/generic.mjs";
import { images } from "./reference/images.mjs";
import { keyFields, keyOf, tenantOf } from "./reference/key.mjs";
import { messages } from "./reference/messages.mjs";
import { read } from "./reference/reading.mjs";
import { Bypass, Refused } from "./reference/refusals.mjs";
import { responses } from "./reference/responses.mjs";

const DIALECTS = {
  "audio/speech": speech,
  "chat/completions": chat, completions, embeddings, "images/generations": images, messages, moderations, rerank, responses,
  ocr: generic,
};

function answer(secret, call) {
  try {
    const fields = keyFields(call.headers);
    const body = read(Buffer.from(call.raw_base64, "base64"));
    const { canonical, elements = [] } = DIALECTS[call.dialect](body, call.identity_fields);
    const key = (text) => keyOf(secret, call, fields, text);
    return { canonical, key: key(canonical), ...(elements.length > 0 && { elements: elements.map(key) }) };
  } catch (error) {
    if (error instanceof Bypass) return { bypass: error.message };
    if (error instanceof Refused) return { error: error.message };
    throw error;
  }
}

const asked = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify({
  dialects: Object.keys(DIALECTS),
  calls: asked.calls.map((call) => answer(asked.secret, call)),
  tenants: asked.tenants.map((credentials) => tenantOf(asked.secret, credentials)),
}));
