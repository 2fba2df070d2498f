// The viewer of the reading page: zoom, pan and filters. The settings used and the reading time are sent with the answer.
// It also renews the lease on the case while the page is open and releases it on leaving. The page works without it.
"use strict";

const FRESH = { zoom: 1, x: 0, y: 0, brightness: 1, contrast: 1, redfree: false, invert: false };
const RENEW_EVERY = 120_000;
let view = { ...FRESH };
let shownAt = performance.now();

const the = (selector) => document.querySelector(selector);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function paint() {
  const viewer = the("[data-viewer]");
  if (!viewer) return;
  const limit = (side) => ((view.zoom - 1) / 2) * side;
  const stage = the("[data-stage]");
  view.x = clamp(view.x, -limit(stage.clientWidth), limit(stage.clientWidth));
  view.y = clamp(view.y, -limit(stage.clientHeight), limit(stage.clientHeight));
  // Custom properties set through the CSSOM: the content security policy forbids style attributes, not this.
  viewer.style.setProperty("--zoom", view.zoom);
  viewer.style.setProperty("--x", `${view.x}px`);
  viewer.style.setProperty("--y", `${view.y}px`);
  viewer.style.setProperty("--brightness", view.brightness);
  viewer.style.setProperty("--contrast", view.contrast);
  viewer.style.setProperty("--invert", view.invert ? 1 : 0);
  viewer.classList.toggle("viewer--redfree", view.redfree);
  the("[data-view=redfree]").setAttribute("aria-pressed", view.redfree);
  the("[data-view=invert]").setAttribute("aria-pressed", view.invert);
  the("[data-readout]").replaceChildren(readout());
}

// The view settings that differ from the original photo: an altered view must not be mistaken for it.
function readout() {
  const percent = (name, value) => (Math.abs(value - 1) < 0.005 ? [] : [`${name} ${Math.round(value * 100)} %`]);
  const parts = [...percent("zoom", view.zoom), ...percent("brightness", view.brightness), ...percent("contrast", view.contrast)];
  return parts.join(", ");
}

function zoomTo(zoom) {
  const next = clamp(zoom, 1, 16);
  view.x *= next / view.zoom;
  view.y *= next / view.zoom;
  view.zoom = next;
}

// The zoom at which one pixel of the photo takes one pixel of the screen.
function oneToOne() {
  const photo = the("[data-photo]");
  const stage = the("[data-stage]");
  const fitted = Math.min(stage.clientWidth / photo.naturalWidth, stage.clientHeight / photo.naturalHeight);
  return 1 / (fitted * window.devicePixelRatio);
}

const TOOLS = {
  in: () => zoomTo(view.zoom * 1.25),
  out: () => zoomTo(view.zoom / 1.25),
  fit: () => { view = { ...FRESH }; },
  one: () => zoomTo(oneToOne()),
  four: () => zoomTo(4 * oneToOne()),
  darker: () => { view.brightness = clamp(view.brightness - 0.1, 0.3, 3); },
  brighter: () => { view.brightness = clamp(view.brightness + 0.1, 0.3, 3); },
  flatter: () => { view.contrast = clamp(view.contrast - 0.1, 0.3, 3); },
  steeper: () => { view.contrast = clamp(view.contrast + 0.1, 0.3, 3); },
  redfree: () => { view.redfree = !view.redfree; },
  invert: () => { view.invert = !view.invert; },
};

document.addEventListener("click", (event) => {
  const tool = event.target.closest("[data-view]");
  if (!tool) return;
  TOOLS[tool.dataset.view]();
  paint();
});

// A tool triggered by its key leaves the focus where it was: Enter must still confirm the answer.
document.addEventListener("keydown", (event) => {
  const before = document.activeElement;
  const isTool = [...document.querySelectorAll("[data-view]")].some((tool) => tool.dataset.key === event.key.toLowerCase());
  if (isTool && before && !before.closest("[data-view]")) setTimeout(() => before.focus({ preventScroll: true }));
}, true);

// Fill in the viewer settings and the reading time before an answer is sent (by key, click or touch).
document.addEventListener("click", (event) => {
  const form = event.target.closest("[name=answer]")?.form;
  if (!form?.hasAttribute("data-answer")) return;
  const { zoom, brightness, contrast, redfree, invert } = view;
  form.elements.viewer.value = JSON.stringify({ zoom, brightness, contrast, redfree, invert });
  form.elements.seconds.value = ((performance.now() - shownAt) / 1000).toFixed(2);
}, true);

const ARROWS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
document.addEventListener("keydown", (event) => {
  const step = ARROWS[event.key];
  if (!step || view.zoom === 1 || event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  view.x += step[0];
  view.y += step[1];
  paint();
});

document.addEventListener("wheel", (event) => {
  if (!event.target.closest("[data-stage]")) return;
  event.preventDefault();
  zoomTo(view.zoom * Math.exp(-event.deltaY / 400));
  paint();
}, { passive: false });

// One finger or the mouse pans, two fingers zoom.
const fingers = new Map();
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest("[data-stage]")) return;
  fingers.set(event.pointerId, event);
});
document.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  if (fingers.size === 1) {
    view.x += event.clientX - before.clientX;
    view.y += event.clientY - before.clientY;
  } else {
    const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    zoomTo(view.zoom * (apart(event) / Math.max(1, apart(before))));
  }
  fingers.set(event.pointerId, event);
  paint();
});
for (const name of ["pointerup", "pointercancel"]) {
  document.addEventListener(name, (event) => fingers.delete(event.pointerId));
}

// The overlay that lists the keys; Escape and its button close it.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog).showModal();
});

// Pictures inside <details> load when it is opened; without JavaScript they are links.
document.addEventListener("toggle", (event) => {
  if (!event.target.open) return;
  for (const link of event.target.querySelectorAll("a[data-picture]")) {
    const picture = new Image(Number(link.dataset.width), Number(link.dataset.height));
    picture.alt = link.textContent;
    picture.src = link.href;
    link.replaceWith(picture);
  }
}, true);

// The next two cases, in memory only: leased to this reader by the server, their photos fetched and decoded while the
// current photo is read, and shown as soon as its answer is stored. Nothing goes into the browser's storage or cache.
const photos = new Map(); // address of a photo -> the image
let following = []; // { case, photo, screen } of the next cases, in order
let announced = null; // the one of them that was sent with the answer: a new list may arrive before the response does

// On a slow line a response can arrive late: drop one that belongs to an earlier case. `data-ahead-ready` on the case
// says that the photos of the next cases are in memory.
async function lookAhead() {
  const page = the("#case");
  if (!page?.dataset.ahead) return;
  const answer = await fetch(page.dataset.ahead, { method: "POST", body: tokened(), redirect: "error" });
  if (!answer.ok || the("#case") !== page) return;
  const { cases, progress } = await answer.json();
  if (the("#case") !== page) return;
  the("[data-progress]")?.replaceChildren(progress);
  following = cases;
  forgetAllBut([...cases.map((next) => next.photo), the("[data-photo]")?.dataset.photo]);
  for (const next of cases) {
    await (await keep(next.photo)).decode();
    if (the("#case") !== page) return;
  }
  page.dataset.aheadReady = "";
}

// The photo from memory, fetched first if needed. A failed fetch is tried again next time.
async function keep(address) {
  if (photos.has(address)) return photos.get(address);
  const photo = await fetch(address, { redirect: "error" });
  if (!photo.ok) throw new Error(`${address}: ${photo.status}`);
  const data = await photo.blob();
  if (!photos.has(address)) {
    const image = new Image();
    image.src = URL.createObjectURL(data);
    photos.set(address, image);
  }
  return photos.get(address);
}

function forgetAllBut(addresses) {
  for (const [address, image] of photos) {
    if (addresses.includes(address)) continue;
    URL.revokeObjectURL(image.src);
    photos.delete(address);
  }
}

// Send with the answer which next case is already in memory; the server then names it instead of sending its HTML.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.target?.id !== "case") return;
  announced = following[0] ?? null;
  if (announced?.screen) event.detail.parameters.next = announced.case;
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const shown = event.detail.xhr.getResponseHeader("Review-Case");
  const screen = [announced, ...following].find((next) => next?.case === shown)?.screen ?? "";
  let html = event.detail.serverResponse + screen;
  for (const [address, image] of photos) html = html.replace(`src="${address}"`, `src="${image.src}"`);
  event.detail.serverResponse = html;
});

// A new case starts with an unfiltered, full view (colour matters for grading) and a new clock.
function start() {
  view = { ...FRESH };
  fingers.clear();
  shownAt = performance.now();
  const restartClock = () => { shownAt = performance.now(); };
  the("[data-photo]")?.decode().then(restartClock, () => {}).then(lookAhead).catch(() => {});
  paint();
}
start();
document.addEventListener("htmx:afterSwap", (event) => {
  if (!the("#case") || event.detail.target?.id !== "case") return;
  following = following.filter((next) => next.case !== the("#case").dataset.case);
  start();
});

// Clear "Saved" as soon as the next answer is sent.
document.addEventListener("htmx:beforeRequest", () => the("#messages")?.replaceChildren());

// A 409 response contains the current case and the entered values: show it.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status !== 409) return;
  event.detail.shouldSwap = true;
  event.detail.isError = false;
});

function tokened() {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", the("[name=csrfmiddlewaretoken]").value);
  return body;
}

setInterval(() => {
  const { renew } = the("#case")?.dataset ?? {};
  if (!renew || document.hidden) return;
  fetch(renew, { method: "POST", body: tokened() }).then(lookAhead).catch(() => {});
}, RENEW_EVERY);
window.addEventListener("pagehide", () => {
  const { leave } = the("#case")?.dataset ?? {};
  if (leave) navigator.sendBeacon(leave, tokened());
});
