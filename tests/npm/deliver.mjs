// Deliveries as the vendor posts them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const sample = readFileSync(new URL('../../fixtures/triggers/message_sent.json', import.meta.url), 'utf8');

/** A message of that number. */
export function message(id) {
  const delivery = JSON.parse(sample);
  delivery.data.message.id = String(id);
  return JSON.stringify(delivery);
}

/** Posts a body; what the server says became of it. */
export async function deliver(base, body) {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(`${base}/webhooks/cometchat`, { method: 'POST', headers, body });
  assert.equal(response.status, 200, await response.text());
  return { seq: Number(response.headers.get('chatfold-seq')), outcome: response.headers.get('chatfold-outcome') };
}
