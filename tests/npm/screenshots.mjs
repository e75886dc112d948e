// Pictures of a server that has read the demo story.
// node screenshots.mjs http://127.0.0.1:8080 FOLDER: every page at a desk and on a phone, light and dark, to look at.
// node screenshots.mjs http://127.0.0.1:8080: the three pictures of the README.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { CHROMIUM } from './browser.mjs';

const [base, folder] = process.argv.slice(2);
const app = '2489f0demo01';
const README = {
  group: ['/group', { guid: 'night-shift' }, 1000],
  conversation: ['/conversation', { conversationId: 'group_night-shift', at: '2026-01-09T18:16:00Z', message: '2005' }, 860],
  why: ['/why', { entity: 'message:2005' }, 760],
};
const PAGES = {
  overview: ['/', {}], groups: ['/groups', {}], group: README.group, users: ['/users', {}], user: ['/user', { uid: 'mira' }],
  conversations: ['/conversations', {}], conversation: ['/conversation', { conversationId: 'group_night-shift' }],
  place: README.conversation,
  message: ['/message', { messageId: '2005' }], calls: ['/calls', {}], call: ['/call', { sessionId: 'night-shift-debrief' }],
  events: ['/events', {}], event: ['/event', { seq: '31' }], why: ['/why', { entity: 'membership:night-shift/anders' }],
  ask: ['/ask', {}], health: ['/health', {}], all: ['/', { appId: '' }], search: ['/search', { q: 'night' }], nothing: ['/search', { q: 'nothing of the kind' }],
  problem: ['/group', { guid: 'no-such-group' }],
};
/** Pixels of height that 50 rows may take on a phone. */
const TALLEST = 14_000;

const browser = await chromium.launch({ ...CHROMIUM, args: [...CHROMIUM.args, '--hide-scrollbars'] });
const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC' });
const page = await context.newPage();
const asked = (about) => Object.entries({ appId: app, ...about }).filter(([, value]) => value);
const open = (path, about) => page.goto(`${base}${path}?${new URLSearchParams(asked(about))}`);

async function readme() {
  for (const [name, [path, about, height]] of Object.entries(README)) {
    await page.setViewportSize({ width: 1440, height });
    await open(path, about);
    for (const edits of await page.$$('details:has(.edits):not([open]) summary')) await edits.click();
    await page.$eval('.message.asked', (it) => it.scrollIntoView({ block: 'center' })).catch(() => {});
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: new URL(`../../docs/images/${name}.png`, import.meta.url).pathname });
  }
}

async function all() {
  await mkdir(folder, { recursive: true });
  for (const [name, [path, about]] of Object.entries(PAGES)) {
    for (const [width, height] of [[1440, 900], [390, 844]]) {
      await page.setViewportSize({ width, height });
      await open(path, about);
      const size = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
      assert.ok(size[0] <= width, `${name} is ${size[0]} wide at ${width}`);
      assert.ok(size[1] <= TALLEST, `${name} is ${size[1]} tall at ${width}`);
      // A column that is pressed to a letter or two makes a tower of each word.
      const towers = await page.$$eval('td bdi, tbody th bdi, td code', (all) => all.map((it) => it.getBoundingClientRect()).filter((it) => it.height > 60 && it.width < 40).length);
      assert.equal(towers, 0, `${name} at ${width}`);
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        await page.screenshot({ path: `${folder}/${name}-${width}-${colorScheme}.png`, fullPage: true });
      }
    }
  }
}

try {
  await (folder ? all() : readme());
} finally {
  await browser.close();
}
