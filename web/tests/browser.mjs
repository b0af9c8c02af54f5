// Chromium, and what every page of the walk does with it.

import { mkdirSync } from "node:fs";
import path from "node:path";
import { chromium } from "playwright-core";
import { Witness } from "./witness.mjs";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };
const PATIENCE_MS = 15_000;

const artefacts = process.env.ARTEFACTS ?? path.join(import.meta.dirname, "../../target/screenshots");

/**
 * Starts the browser with a profile of its own in the temporary directory, which goes when the browser is closed.
 * On a busy machine its first start can hang; a second one then does not.
 */
export async function launch() {
  const options = { executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS, timeout: 60_000 };
  try {
    return await chromium.launch(options);
  } catch (error) {
    console.error(`Chromium did not start (${String(error).split("\n", 1)[0]}); once more`);
    return chromium.launch(options);
  }
}

/**
 * A person at a fresh browser: own cookies, own storage, everything witnessed.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {import("./demo.mjs").Demo} demo
 * @param {import("playwright-core").BrowserContextOptions} [options]
 */
export async function person(browser, demo, options = {}) {
  const context = await browser.newContext({ viewport: WIDE, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const witness = new Witness(context, demo);
  const page = await context.newPage();
  return { context, witness, page };
}

/**
 * The whole page at a desk's and at a phone's width.
 *
 * @param {import("playwright-core").Page} page
 * @param {string} name
 * @returns {Promise<number>}  By how many pixels the page is wider than the phone; 0 where it fits.
 */
export async function shoot(page, name) {
  mkdirSync(artefacts, { recursive: true });
  await page.evaluate(() => { window.scrollTo(0, 0); });
  await page.screenshot({ path: path.join(artefacts, `${name}-wide.png`), fullPage: true });
  await page.setViewportSize(PHONE);
  await page.evaluate(() => { window.scrollTo(0, 0); });
  await page.screenshot({ path: path.join(artefacts, `${name}-phone.png`), fullPage: true });
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await page.setViewportSize(WIDE);
  return Math.max(0, excess);
}
