// The viewer of the reading page: zoom, pan and filters. The settings used and the reading time are sent with the answer.
// The page works without it.
"use strict";

const FRESH = { zoom: 1, x: 0, y: 0, brightness: 1, contrast: 1, redfree: false, invert: false, pupil: false };
const FILTERS = ["brightness", "contrast", "redfree", "invert", "pupil"];
let view = { ...FRESH };
let shownAt = performance.now();

const the = (selector) => document.querySelector(selector);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// What each case starts with, as this reader keeps it; null: every case starts unfiltered and whole.
const stored = JSON.parse(the("[data-desk]").dataset.viewKept || "{}");
let kept = Object.keys(stored).length ? stored : null;

function paint() {
  const viewer = the("[data-viewer]");
  if (!viewer) return;
  const limit = (side) => Math.max(0, ((view.zoom - 1) / 2) * side);
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
  the("[data-keep-view]").setAttribute("aria-pressed", kept !== null);
  the("[data-readout]").replaceChildren(readout());
}

// What differs from the whole, original photo: an altered view must not be mistaken for it. The zoom is in photo pixels.
function readout() {
  const percent = (name, value) => (Math.abs(value - 1) < 0.005 ? [] : [`${name} ${Math.round(value * 100)} %`]);
  const zoom = Math.abs(view.zoom - 1) < 0.005 ? [] : [`zoom ${Math.round((100 * view.zoom) / oneToOne())} %`];
  const filters = [...(view.redfree ? ["red-free"] : []), ...(view.invert ? ["inverted"] : [])];
  return [...zoom, ...percent("brightness", view.brightness), ...percent("contrast", view.contrast), ...filters].join(", ");
}

// Zoom so that what lies at `at` (pixels from the middle of the stage) stays there.
function zoomTo(zoom, at = { x: 0, y: 0 }) {
  const next = clamp(zoom, Math.min(1, oneToOne()), 16);
  view.x = at.x - ((at.x - view.x) * next) / view.zoom;
  view.y = at.y - ((at.y - view.y) * next) / view.zoom;
  view.zoom = next;
  view.pupil = false;
}

// How many pixels of the page one pixel of the photo takes when the whole photo is shown.
function fitted() {
  const photo = the("[data-photo]");
  const stage = the("[data-stage]");
  if (!photo?.naturalWidth) return 1;
  return Math.min(stage.clientWidth / photo.naturalWidth, stage.clientHeight / photo.naturalHeight);
}

// The zoom at which one pixel of the photo takes one pixel of the screen.
const oneToOne = () => 1 / (fitted() * window.devicePixelRatio);

// The pupil in the middle, with the iris around it. The server finds it, in the photo alone.
async function zoomToPupil() {
  const viewer = the("[data-viewer]");
  const answer = await fetch(viewer.dataset.pupil, { redirect: "error" });
  if (!answer.ok || the("[data-viewer]") !== viewer) return;
  const { x, y, radius } = await answer.json();
  const photo = the("[data-photo]");
  const stage = the("[data-stage]");
  const [width, height] = [photo.naturalWidth * fitted(), photo.naturalHeight * fitted()];
  view.zoom = clamp(Math.min(stage.clientWidth, stage.clientHeight) / (3 * radius * width), 1, 16);
  view.x = (0.5 - x) * width * view.zoom;
  view.y = (0.5 - y) * height * view.zoom;
  view.pupil = true;
  paint();
}

const TOOLS = {
  in: () => zoomTo(view.zoom * 1.25),
  out: () => zoomTo(view.zoom / 1.25),
  fit: () => { view = { ...FRESH }; },
  one: () => zoomTo(oneToOne()),
  four: () => zoomTo(4 * oneToOne()),
  pupil: () => zoomToPupil().then(keepFilters, () => {}),
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
  keepFilters();
});

// "Keep for next cases": the server remembers the filters of this reader. Nothing goes into the browser's storage.
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-keep-view]")) return;
  kept = kept === null ? filtersOf(view) : null;
  storeKept();
  paint();
});

const filtersOf = (from) => Object.fromEntries(FILTERS.map((name) => [name, from[name]]));

function keepFilters() {
  if (kept === null) return;
  kept = filtersOf(view);
  clearTimeout(keepFilters.timer);
  keepFilters.timer = setTimeout(storeKept, 800);
}

function storeKept() {
  const body = tokened();
  body.set("view", kept === null ? "" : JSON.stringify(kept));
  fetch(the("[data-desk]").dataset.keepViewAt, { method: "POST", body }).catch(() => {});
}

// Fill in the viewer settings and the reading time before an answer is sent (by key, click or touch).
document.addEventListener("click", (event) => {
  const form = event.target.closest("[name=answer]")?.form;
  if (!form?.hasAttribute("data-answer") || "resent" in form.dataset) return;
  const { zoom, brightness, contrast, redfree, invert } = view;
  form.elements.viewer.value = JSON.stringify({ zoom, brightness, contrast, redfree, invert });
  form.elements.seconds.value = ((performance.now() - shownAt) / 1000).toFixed(2);
}, true);

const ARROWS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
document.addEventListener("keydown", (event) => {
  const step = ARROWS[event.key];
  if (!step || view.zoom <= 1 || event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  view.x += step[0];
  view.y += step[1];
  paint();
});

// Where a pointer is, in pixels from the middle of its stage.
function fromMiddle(stage, { clientX, clientY }) {
  const box = stage.getBoundingClientRect();
  return { x: clientX - box.left - box.width / 2, y: clientY - box.top - box.height / 2 };
}

document.addEventListener("wheel", (event) => {
  const stage = event.target.closest("[data-stage]");
  if (!stage) return;
  event.preventDefault();
  zoomTo(view.zoom * Math.exp(-event.deltaY / 400), fromMiddle(stage, event));
  paint();
}, { passive: false });

// One finger or the mouse pans; two fingers zoom about the point between them, and move it.
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
    const between = { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 };
    const stage = before.target.closest("[data-stage]");
    zoomTo(view.zoom * (apart(event) / Math.max(1, apart(before))), fromMiddle(stage, between));
    view.x += (event.clientX - before.clientX) / 2;
    view.y += (event.clientY - before.clientY) / 2;
  }
  fingers.set(event.pointerId, event);
  paint();
});
for (const name of ["pointerup", "pointercancel"]) {
  document.addEventListener(name, (event) => fingers.delete(event.pointerId));
}

// After the answer: another photo of the patient beside this one. Both are moved and zoomed as one.
document.addEventListener("click", (event) => {
  const compare = event.target.closest("[data-compare]");
  const asked = event.target.closest("[data-beside]") ?? (compare && the("[data-beside]"));
  const place = the("[data-beside-stage]");
  if (!asked || !place) return;
  const isShown = !place.hidden && (compare || place.dataset.of === asked.dataset.beside);
  place.hidden = isShown;
  place.dataset.of = asked.dataset.beside;
  the("[data-viewer]").classList.toggle("viewer--beside", !isShown);
  if (!isShown) {
    const photo = new Image();
    photo.src = asked.dataset.beside;
    photo.alt = asked.dataset.words;
    photo.className = "viewer__photo";
    photo.draggable = false;
    place.querySelector("[data-stage]").replaceChildren(photo);
    place.querySelector("figcaption").textContent = asked.dataset.words;
  }
  paint();
});
window.addEventListener("resize", paint);

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
  showProgress(progress);
  following = cases;
  forgetAllBut([...cases.map((next) => next.photo), the("[data-photo]")?.dataset.photo]);
  for (const next of cases) {
    await (await keep(next.photo)).decode();
    if (the("#case") !== page) return;
  }
  page.dataset.aheadReady = "";
}

function showProgress(words) {
  const [read, ...left] = words.split(", ");
  const more = document.createElement("span");
  more.className = "strip__left"; // not on a phone
  more.textContent = left.length ? `, ${left.join(", ")}` : "";
  the("[data-progress]")?.replaceChildren(read, more);
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

// A new case starts whole, and with the filters that its reader keeps, if any (colour matters for grading). The reveal is
// the same case still: it keeps the view. Each screen starts a new clock, once its photo is painted.
let caseShown = null;
function start() {
  const page = the("#case");
  fingers.clear();
  if (page.dataset.case !== caseShown) view = { ...FRESH, ...kept, pupil: false };
  const isNew = page.dataset.case !== caseShown;
  caseShown = page.dataset.case;
  shownAt = performance.now();
  const painted = () => {
    if (the("#case") !== page) return;
    shownAt = performance.now();
    paint();
    if (isNew && kept?.pupil) zoomToPupil().catch(() => {});
    document.dispatchEvent(new Event("desk:painted"));
  };
  const photo = the("[data-photo]");
  const decoded = photo ? photo.decode().catch(() => {}) : Promise.resolve();
  decoded.then(painted).then(lookAhead).catch(() => {});
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
