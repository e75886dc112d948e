// The console in a browser: what people do there, and that nothing leaves the page's place.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { CHROMIUM } from './browser.mjs';

const [base, app, other] = process.argv.slice(2);
const axe = await readFile(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const browser = await chromium.launch(CHROMIUM);
const seen = { errors: [], foreign: [], dialogs: [] };

/** A page that notes what must not be. */
async function fresh(options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on('console', (line) => line.type() === 'error' && seen.errors.push(`${page.url()}: ${line.text()}`));
  page.on('pageerror', (error) => seen.errors.push(`${page.url()}: ${error}`));
  page.on('dialog', (dialog) => { seen.dialogs.push(page.url()); dialog.dismiss(); });
  page.on('request', (request) => request.url().startsWith(`${base}/`) || seen.foreign.push(request.url()));
  return page;
}

const path = (page, about = {}) => `${base}${page}?${new URLSearchParams({ appId: app, ...about })}`;
let made = 0;

async function deliver() {
  const guid = `live-${(made += 1)}`;
  const data = { group: { guid, name: guid, createdAt: 1767600000 + made } };
  const body = JSON.stringify({ trigger: 'group_created', appId: app, data });
  const answer = await fetch(`${base}/webhooks/cometchat`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  assert.equal(answer.status, 200);
  return answer.headers.get('chatfold-seq');
}

async function send(guid, text) {
  const id = String(9000 + (made += 1));
  const message = {
    id, conversationId: `group_${guid}`, sender: 'mira', receiver: guid, receiverType: 'group', category: 'message', type: 'text',
    sentAt: 1768000000 + made, data: { text },
  };
  const body = JSON.stringify({ trigger: 'message_sent', appId: app, data: { message } });
  const answer = await fetch(`${base}/webhooks/cometchat`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  assert.equal(answer.headers.get('chatfold-outcome'), 'applied');
}

const tests = {
  async 'members as of three instants'() {
    const page = await fresh();
    await page.goto(path('/group', { guid: 'reading-circle' }));
    const members = async (asOf) => {
      await page.fill('input[name=asOf]', asOf);
      await page.click('form.filter button');
      await page.waitForLoadState();
      const rows = await page.$$eval('#members table:not(.stays) tbody tr', (all) => all.map((row) => row.innerText.replace(/\s+/g, ' ')));
      return rows.map((row) => row.match(/^(\S+).*?(admin|participant|left|kicked)/).slice(1).join(' '));
    };
    assert.deepEqual(await members('2026-01-09T19:10:30.000'), ['Inês admin']);
    assert.deepEqual(await members('2026-01-09T19:15:00.000'), ['Inês admin', 'Tomás participant']);
    assert.deepEqual(await members('2026-01-09T19:22:00.000'), ['Inês admin', 'Tomás left']);
    await page.click('a:has-text("Change before")');
    assert.match(page.url(), /asOf=2026-01-09T19%3A21%3A40Z/);
  },

  async 'the marks of the timeline lead to their events'() {
    const page = await fresh();
    await page.goto(path('/group', { guid: 'reading-circle' }));
    const mark = page.locator('.stays circle.mark-left').nth(1);
    assert.match(await mark.locator('title').textContent(), /tomas left, 2026-01-09 19:21:40 UTC/);
    const bars = await page.$$eval('.stays td rect', (all) => all.map((bar) => bar.getAttribute('class')));
    assert.deepEqual(bars, ['admin', 'participant']);
    await mark.click();
    await page.waitForURL(/\/event\?/);
    assert.match(await page.textContent('main'), /group_member_left/);
  },

  async 'one time zone holds for all that is shown and asked, also on a day of 25 hours'() {
    const page = await fresh({ timezoneId: 'America/New_York' });
    const shown = () => page.textContent('.zone');
    // A browser leaves out seconds that are zero.
    const asked = async () => (await page.inputValue('input[name=asOf]')).slice(0, 16);
    await page.goto(path('/group', { guid: 'reading-circle', asOf: '2026-01-09T19:15:00Z' }));
    assert.match(await shown(), /Times in UTC/);
    assert.equal(await asked(), '2026-01-09T19:15');
    await page.click('[data-zone]');
    await page.waitForFunction(() => document.querySelector('.zone').textContent.includes('Times in America/New_York'));
    assert.equal(await asked(), '2026-01-09T14:15');
    assert.match(await page.textContent('#members'), /14:10:00 EST/);
    await page.click('form.filter button');
    await page.waitForURL(/zone=America%2FNew_York/);
    assert.match(await page.textContent('#members-title'), /as of 2026-01-09 14:15:00 EST/);
    await page.fill('input[name=asOf]', '2026-11-01T01:30:00');
    await page.click('form.filter button');
    await page.waitForSelector('select[name=asOfHour]');
    assert.match(await page.textContent('#members-title'), /01:30:00 EDT/);
    await page.selectOption('select[name=asOfHour]', 'second');
    await page.click('form.filter button');
    await page.waitForURL(/asOfHour=second/);
    assert.match(await page.textContent('#members-title'), /01:30:00 EST/);
    await page.click('[data-zone]');
    await page.waitForFunction(() => document.querySelector('.zone').textContent.includes('Times in UTC'));
    assert.equal(await asked(), '2026-11-01T06:30');
  },

  async 'an edit shows what went and what came'() {
    const page = await fresh();
    await page.goto(path('/conversation', { conversationId: 'group_night-shift' }));
    await page.click('summary:has-text("Edited")');
    const [went, came] = [await page.textContent('.edits del'), await page.textContent('.edits ins')];
    assert.ok(went.length > 0 && came.length > 0 && went !== came, `${went} -> ${came}`);
  },

  async 'a delivery appears without a reload, and not while paused'() {
    const [events, overview] = [await fresh(), await fresh()];
    for (const [page, where] of [[events, '/events'], [overview, '/']]) {
      await page.goto(path(where));
      await page.evaluate(() => { window.mine = true; });
    }
    const seq = await deliver();
    await events.waitForSelector(`main a[href*="seq=${seq}"]`, { timeout: 10_000 });
    await overview.waitForFunction((seq) => document.getElementById('seq').textContent === seq, seq, { timeout: 10_000 });
    assert.ok(await events.evaluate(() => window.mine) && (await overview.evaluate(() => window.mine)));
    await events.click('[data-pause]');
    const next = await deliver();
    await events.waitForFunction(() => document.querySelector('[data-pause]').textContent.includes('news'), null, { timeout: 10_000 });
    assert.equal(await events.locator(`main a[href*="seq=${next}"]`).count(), 0);
    await events.click('[data-pause]');
    await events.waitForSelector(`main a[href*="seq=${next}"]`, { timeout: 10_000 });
  },

  async 'what is opened stays open, and the page names the position that it shows'() {
    const page = await fresh();
    await page.goto(path('/conversation', { conversationId: 'group_night-shift' }));
    await page.click('summary:has-text("Edited")');
    const before = await page.textContent('#seq');
    await send('night-shift', 'news of the night');
    await page.waitForFunction(() => document.querySelector('[data-pause]').textContent === 'Show the news', null, { timeout: 10_000 });
    assert.equal(await page.textContent('#seq'), before);
    assert.ok(!(await page.textContent('#messages')).includes('news of the night'));
    await page.click('[data-pause]');
    await page.waitForFunction(() => document.querySelector('#messages').textContent.includes('news of the night'));
    assert.notEqual(await page.textContent('#seq'), before);
  },

  async 'a page that hears no news says so until the server answers again'() {
    // A proxy answers 502 in place of a server that starts again: then a browser by itself connects no more.
    const page = await (await browser.newContext()).newPage();
    const live = `${base}/live`;
    await page.route(live, (route) => route.fulfill({ status: 502 }));
    await page.goto(path('/events'));
    await page.waitForFunction(() => document.querySelector('[data-state]').textContent.includes('No connection'));
    await page.unroute(live);
    const seq = await deliver();
    await page.waitForSelector(`main a[href*="seq=${seq}"]`, { timeout: 60_000 });
    await page.waitForFunction(() => document.querySelector('[data-state]').textContent === '', null, { timeout: 60_000 });
  },

  async 'keys go from row to row, and what covers the page is closed by Escape or a click beside'() {
    const page = await fresh();
    await page.goto(path('/events'));
    const rows = await page.$$eval('main tbody tr', (all) => all.slice(0, 2).map((row) => row.querySelector('a').textContent));
    for (const [key, row] of [['j', 0], ['j', 1], ['k', 0]]) {
      await page.keyboard.press(key);
      assert.equal(await page.evaluate(() => document.activeElement.textContent), rows[row], key);
    }
    for (const close of [() => page.keyboard.press('Escape'), () => page.mouse.click(5, 400)]) {
      await page.click('.apps summary');
      assert.ok(await page.$eval('.apps', (it) => it.open));
      await close();
      assert.ok(!(await page.$eval('.apps', (it) => it.open)));
    }
  },

  async 'names never become towers at twice the size'() {
    const page = await fresh({ viewport: { width: 720, height: 450 } });
    await page.goto(path('/group', { guid: 'night-shift' }));
    const narrowest = await page.$$eval('.cards tbody th', (all) => Math.min(...all.map((it) => it.getBoundingClientRect().width)));
    assert.ok(narrowest >= 140, `a name has ${narrowest} pixels`);
  },

  async 'a conversation opens at its newest message'() {
    const page = await fresh({ viewport: { width: 390, height: 700 } });
    await page.goto(path('/conversation', { conversationId: 'group_night-shift' }));
    const last = page.locator('.message').last();
    const [inner, box] = [await page.locator('.window').boundingBox(), await last.boundingBox()];
    assert.ok(box.y + box.height <= inner.y + inner.height + 40 && box.y > inner.y, 'the newest is in sight');
    assert.ok(await page.locator('.message').first().evaluate((it) => it.getBoundingClientRect().bottom < it.closest('.window').getBoundingClientRect().top));
  },

  async 'one search leads from anywhere to everything'() {
    const page = await fresh();
    await page.goto(path('/'));
    await page.keyboard.press('/');
    await page.keyboard.type('night-shift');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/group\?/);
    await page.keyboard.press('?');
    assert.ok(await page.isVisible('#keys'), 'the keys are told');
    await page.keyboard.press('Escape');
    await page.keyboard.press('/');
    await page.keyboard.type('Comet until');
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/search\?/);
  },

  async 'hostile text is text'() {
    const evil = `</bdi></title><script>alert(1)</script><img src=x onerror=alert(2)>"'><svg/onload=alert(3)>\u202e${'x'.repeat(10_000)}`;
    const id = `</a><script>alert(4)</script>"'&../?#%`;
    const entity = { entityType: 'user', entity: { uid: id, name: evil, avatar: 'javascript:alert(5)', statusMessage: evil } };
    const message = {
      id: '66', conversationId: id, sender: id, receiver: id, receiverType: 'user', category: 'message', type: 'text', sentAt: 1767600000,
      data: { text: evil, metadata: { evil }, attachments: [{ name: evil, url: 'javascript:alert(6)' }], entities: { sender: entity } },
    };
    const facts = {
      group_created: { group: { guid: id, name: evil, description: evil, icon: 'javascript:alert(7)', owner: id, createdAt: 1767600000 } },
      message_sent: { message },
    };
    for (const [trigger, data] of Object.entries(facts)) {
      const body = JSON.stringify({ trigger, appId: app, data });
      const answer = await fetch(`${base}/webhooks/cometchat`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
      assert.equal(answer.headers.get('chatfold-outcome'), 'applied');
    }
    const page = await fresh();
    for (const [where, about] of [
      ['/'], ['/groups'], ['/group', { guid: id }], ['/users'], ['/user', { uid: id }], ['/conversations'],
      ['/message', { messageId: '66' }], ['/events'], ['/why', { entity: `group:${id}` }], ['/search', { q: id }], ['/search', { q: 'alert' }], ['/ask'], ['/health'],
    ]) {
      await page.goto(path(where, about));
      assert.equal(await page.locator('main img, main svg[onload], body > script').count(), 0, where);
      assert.equal(await page.locator('a[href^="javascript:"]').count(), 0, where);
      assert.equal(await page.locator('footer').count(), 1, where);
    }
    await page.goto(path('/message', { messageId: '66' }));
    await page.click('main a[href^="/conversation?"]');
    await page.waitForURL(/\/conversation\?/);
    assert.equal(await page.locator('main img, a[href^="javascript:"]').count(), 0);
  },

  async 'pages are whole without script, narrow, dark, and by the rules of accessibility'() {
    const pages = {
      '/': {}, '/groups': {}, '/group': { guid: 'night-shift' }, '/users': {}, '/user': { uid: 'mira' }, '/conversations': {},
      '/conversation': { conversationId: 'group_night-shift' }, '/message': { messageId: '2001' }, '/calls': {}, '/events': {},
      '/event': { seq: '7' }, '/why': { entity: 'group:night-shift' }, '/ask': {}, '/health': {}, '/search': { q: 'comet' },
    };
    const plain = await fresh({ javaScriptEnabled: false });
    const narrow = await fresh({ viewport: { width: 360, height: 740 } });
    const dark = await fresh({ colorScheme: 'dark' });
    for (const [where, about] of Object.entries(pages)) {
      const url = path(where, about);
      assert.equal((await plain.goto(url)).status(), 200, url);
      assert.ok((await plain.textContent('main')).trim().length > 40, url);
      await narrow.goto(url);
      const width = await narrow.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= 360, `${url} is ${width} wide`);
      for (const page of [narrow, dark]) {
        if (page === dark) await page.goto(url);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice'] }));
        const told = violations.map((it) => `${it.id}: ${it.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
        assert.deepEqual(told, [], url);
      }
    }
  },
};

try {
  for (const [name, test] of Object.entries(tests)) {
    await test().catch((error) => { throw new Error(name, { cause: error }); });
    console.log(`ok ${name}`);
  }
  assert.deepEqual(seen, { errors: [], foreign: [], dialogs: [] });
} finally {
  await browser.close();
}
