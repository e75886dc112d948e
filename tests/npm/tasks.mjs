// The tasks of people who answer for a chat: each within three clicks of the first page, at a desk and on a phone.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { CHROMIUM } from './browser.mjs';

const [base, app] = process.argv.slice(2);
const browser = await chromium.launch(CHROMIUM);

/** The first page, and the clicks that are left. */
async function begin(options) {
  const page = await (await browser.newContext(options)).newPage();
  await page.goto(`${base}/?appId=${app}`);
  let left = 3;
  const spend = () => assert.ok((left -= 1) >= 0, 'more than three clicks');
  const click = async (what) => { spend(); await page.locator(what).first().click(); await page.waitForLoadState(); };
  const search = async (text) => {
    spend();
    await page.fill('[data-find]', text);
    await page.press('[data-find]', 'Enter');
    await page.waitForLoadState();
  };
  return { page, click, search, text: () => page.innerText('main') };
}

const tasks = {
  async 'who was in it at a time, and who kicked whom'({ page, click, text }) {
    await click('header nav a:has-text("Groups")');
    await click('main a:has-text("Night shift")');
    await page.fill('input[name=asOf]', '2026-01-09T18:33:00');
    await click('form.filter button');
    assert.match(await page.innerText('#members'), /Anders Lund[\s\S]*participant/);
    assert.match((await page.innerText('#changes-list')).replace(/\s+/g, ' '), /Anders Lund.*kicked.*Tomás.*2026-01-09 18:34:00 UTC/);
    assert.match(await text(), /as of 2026-01-09 18:33:00 UTC/i);
  },

  async 'find a word, see the edits of the message and its place in the talk'({ page, click, search }) {
    await search('coffee');
    await click('main a[href*="message=2005"]');
    const asked = page.locator('.message.asked');
    await asked.waitFor();
    assert.ok(await asked.evaluate((it) => it.getBoundingClientRect().top < innerHeight && it.getBoundingClientRect().bottom > 0));
    // The edits of the message that was asked for are open.
    assert.equal(await page.innerText('.message.asked .edits del'), 'sixe');
    assert.ok((await page.locator('.message').count()) > 3, 'what was said around it');
  },

  async 'did a delivery arrive, and what did it change'({ page, search, text }) {
    await search('#31');
    await page.waitForURL(/\/event\?/);
    assert.match((await text()).replace(/\s+/g, ' '), /group_member_kicked.*Anders Lund in Night shift.*joined as participant.*kicked/);
  },

  async 'what went silent'({ page, click, text }) {
    assert.match(await text(), /Needs attention/);
    await click('.unheard summary');
    assert.match(await page.innerText('.unheard'), /group_deleted/);
  },

  async 'what is wrong today'({ page, click, text }) {
    await click('.needs a:has-text("dead letter")');
    await click('#list tbody a');
    await page.waitForURL(/\/event\?/);
    assert.match(await text(), /data\.group\.guid: expected an id/);
  },
};

try {
  const dead = JSON.stringify({ trigger: 'group_created', appId: app, data: { group: { name: 'no guid' } } });
  const answer = await fetch(`${base}/webhooks/cometchat`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: dead });
  assert.equal(answer.headers.get('chatfold-outcome'), 'rejected');
  for (const [where, options] of Object.entries({ desk: { viewport: { width: 1440, height: 900 } }, phone: { viewport: { width: 390, height: 844 } } })) {
    for (const [name, task] of Object.entries(tasks)) {
      const begun = await begin(options);
      await task(begun).catch((error) => { throw new Error(`${name} (${where})`, { cause: error }); });
      assert.ok((await begun.page.locator('header nav a').count()) > 4 && (await begun.page.locator('main a').count()) > 0, 'no dead end');
      await begun.page.context().close();
      console.log(`ok ${name} (${where})`);
    }
  }
} finally {
  await browser.close();
}
