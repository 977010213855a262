// How a page looks and whether everybody can use it: wide and narrow, light and dark.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { require } from "./stage.mjs";

const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const FOLDER = process.env.SUITE_SCREENSHOTS;
const SIZES = [
  ["wide", { width: 1280, height: 800 }],
  ["narrow", { width: 375, height: 812 }],
];

mkdirSync(FOLDER, { recursive: true });

/** Take the page's picture in each dress, and let axe look for barriers in all of them. */
export async function look(page, name) {
  const problems = [];
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const [size, viewport] of SIZES) {
      await page.setViewportSize(viewport);
      await page.evaluate(() => window.scrollTo(0, 0)); // a picture of the whole, what sticks included
      await page.screenshot({ path: join(FOLDER, `${name}-${size}-${scheme}.png`), fullPage: true });
      const dress = `${name}, ${size}, ${scheme}`;
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      if (over > 0) problems.push(`${dress}: ${over} pixels wider than the window`);
      for (const cut of await cutOff(page)) problems.push(`${dress}: ${cut} is cut off`);
      for (const found of await barriers(page)) problems.push(`${dress}: ${found}`);
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(SIZES[0][1]);
  assert.deepEqual(problems, []);
}

// What sticks out of its box, or would scroll sideways in it.
function cutOff(page) {
  return page.evaluate(() => {
    const boxes = [...document.querySelectorAll(".table-wrap, .panel, .slip, .notice, tbody tr")];
    return boxes.filter((box) => box.scrollWidth > box.clientWidth + 1)
      .map((box) => `${box.className || box.tagName} “${box.innerText.slice(0, 40).replaceAll("\n", " ")}”`);
  });
}

async function barriers(page) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, help, nodes }) =>
      `${id} (${help}): ${nodes.slice(0, 3).map(({ target, any }) => `${target} ${any?.[0]?.message ?? ""}`).join("; ")}`);
  });
}

/** Whether one can see that the focused element is focused, and which it is. */
export async function focused(page) {
  return page.evaluate(() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
    return {
      name: (element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.textContent || element.name || element.tagName).trim().slice(0, 60),
      tag: element.tagName,
      role: element.getAttribute("role"),
      visible: (ring || style.boxShadow !== "none") && box.width > 0 && box.height > 0,
    };
  });
}

/** Press Tab until something of this name has the focus; every stop on the way must be visible. */
export async function tabTo(page, name, most = 40) {
  const stops = [];
  for (let presses = 1; presses <= most; presses += 1) {
    await page.keyboard.press("Tab");
    const stop = await focused(page);
    if (stop.tag === "BODY") continue;
    stops.push(stop.name);
    assert(stop.visible, `nothing shows that “${stop.name}” (${stop.tag}) has the focus at ${page.url()}`);
    if (stop.name.includes(name)) return presses;
  }
  assert.fail(`Tab never reaches “${name}”, only ${stops.join(" · ")}`);
}
