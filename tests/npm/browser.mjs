// A headless Chromium that reaches this server only, and a page of GraphiQL in it.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

// `headless: false` leaves the mode to the flag: another would look for a binary of playwright's own.
export const CHROMIUM = { executablePath: '/usr/bin/chromium', headless: false, args: FLAGS };

export async function withPage(base, test) {
  const browser = await chromium.launch(CHROMIUM);
  try {
    const page = await browser.newPage();
    const seen = { errors: [], foreign: [] };
    page.on('console', (line) => line.type() === 'error' && seen.errors.push(line.text()));
    page.on('pageerror', (error) => seen.errors.push(String(error)));
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(`${base}/`) && !url.startsWith('data:')) seen.foreign.push(url);
    });
    await test(new Graphiql(page, base), seen);
  } finally {
    await browser.close();
  }
}

export class Graphiql {
  constructor(page, base) {
    this.page = page;
    this.base = base;
  }

  /** Opens the page with a query filled in. */
  async open(query, variables) {
    const asked = new URLSearchParams({ query, ...(variables && { variables: JSON.stringify(variables) }) });
    const response = await this.page.goto(`${this.base}/graphql?${asked}`);
    assert.equal(response.status(), 200);
    await this.page.waitForSelector('.graphiql-execute-button');
    return response;
  }

  /** Runs what is filled in; the first answer for which `enough` holds. */
  async run(enough = () => true) {
    await this.page.click('.graphiql-execute-button');
    return this.answer(enough);
  }

  async answer(enough) {
    const until = Date.now() + 30_000;
    let text = '';
    while (Date.now() < until) {
      text = await this.page.evaluate(() => document.querySelector('.result-window .CodeMirror')?.CodeMirror.getValue());
      const answer = text ? JSON.parse(text) : undefined;
      if (answer && enough(answer)) return answer;
      await this.page.waitForTimeout(20);
    }
    throw new Error(`no such answer; the last: ${text}`);
  }

  async type(token) {
    await this.page.fill('#token input', token);
    await this.page.click('#token button');
    await this.page.waitForFunction(() => document.querySelector('#token output').textContent.includes('in use'));
    await this.page.waitForSelector('.graphiql-execute-button');
  }

  /** Opens one of the panes at the side and waits for a text in it. */
  async pane(name, selector, text) {
    await this.page.click(`button[aria-label="Show ${name}"]`);
    await this.page.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent.includes(text), [
      selector,
      text,
    ]);
  }
}
