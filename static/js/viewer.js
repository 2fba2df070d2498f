// The photo viewer: zoom, move, and three ways to see more. Without it the photo is simply shown whole.
"use strict";

function viewer(root) {
  const stage = root.querySelector(".viewer__stage");
  const image = stage.querySelector("img");
  const view = { scale: 1, x: 0, y: 0 };
  const pointers = new Map();

  function paint() {
    const width = stage.clientWidth;
    const height = stage.clientHeight;
    view.x = Math.min(0, Math.max(width * (1 - view.scale), view.x));
    view.y = Math.min(0, Math.max(height * (1 - view.scale), view.y));
    image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  }

  // What was in use when the answer was given, and how long the photo was looked at: part of the reading.
  const shown = performance.now();
  document.addEventListener("submit", (event) => {
    const note = event.target.querySelector("input[name=viewer]");
    const seconds = event.target.querySelector("input[name=seconds]");
    const used = (name) => root.classList.contains(`viewer--${name}`);
    const state = { zoom: Number(view.scale.toFixed(2)), contrast: used("contrast"), redfree: used("red-free"), invert: used("invert") };
    if (note) note.value = JSON.stringify(state);
    if (seconds) seconds.value = ((performance.now() - shown) / 1000).toFixed(1);
  }, { capture: true });

  function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const scale = Math.min(12, Math.max(1, view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    paint();
  }

  const acts = {
    "zoom-in": () => zoom(1.4),
    "zoom-out": () => zoom(1 / 1.4),
    whole: () => {
      Object.assign(view, { scale: 1, x: 0, y: 0 });
      paint();
    },
  };

  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-view]");
    if (!button) return;
    const name = button.dataset.view;
    if (acts[name]) return acts[name]();
    button.setAttribute("aria-pressed", String(root.classList.toggle(`viewer--${name}`)));
  });

  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const box = stage.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
    },
    { passive: false },
  );

  // One pointer moves the photo, two pinch it.
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const other = [...pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
    if (other) {
      const box = stage.getBoundingClientRect();
      const span = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1;
      zoom(span(event, other) / span(before, other), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
    } else {
      view.x += event.clientX - before.clientX;
      view.y += event.clientY - before.clientY;
      paint();
    }
    pointers.set(event.pointerId, event);
  });
  for (const type of ["pointerup", "pointercancel"]) stage.addEventListener(type, (event) => pointers.delete(event.pointerId));
  image.draggable = false;
}

function prepareViewers() {
  for (const root of document.querySelectorAll("[data-viewer]:not([data-ready])")) {
    root.dataset.ready = "1";
    viewer(root);
  }
}

prepareViewers();
document.addEventListener("htmx:afterSettle", prepareViewers);
