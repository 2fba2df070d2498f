// Keys of the reading page, by sign and by position, and the guard: no answer is taken before the photo could be seen.
"use strict";

const QUIET = 700; // milliseconds without a press after one that came too early
const SETTLE = Number(document.querySelector("[data-desk]").dataset.settle); // 0: no guard
let opensAt = Infinity; // when answers are taken; Infinity until the photo is painted, and while one is being sent
let pressedAt = -Infinity;

document.addEventListener("desk:painted", () => {
  const now = performance.now();
  opensAt = Math.max(now + SETTLE, SETTLE ? pressedAt + QUIET : 0);
  const page = document.querySelector("#case");
  setTimeout(() => { if (page) page.dataset.open = ""; }, Math.max(0, opensAt - now));
});
document.addEventListener("desk:failed", () => { opensAt = performance.now(); });

// Every way to answer ends in a click on a button: keys, mouse, touch, a screen reader.
document.addEventListener("click", (event) => {
  const act = event.target.closest("#case [name=answer], #case [data-confirm], #case [data-skip]");
  if (!act || !SETTLE) return;
  const now = performance.now();
  pressedAt = now;
  if (now >= opensAt) {
    opensAt = Infinity;
    return;
  }
  if (opensAt !== Infinity) opensAt = Math.max(opensAt, now + QUIET);
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

// The sign that a US keyboard has at this place.
const PLACES = { Minus: "-", Equal: "=", BracketLeft: "[", BracketRight: "]", Comma: ",", Period: ".", Slash: "/" };
const SHIFTED = { Equal: "+", Slash: "?" };

function byPlace({ code, key, shiftKey }) {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(code ?? "")?.[1];
  if (digit) return shiftKey ? "" : digit; // French keyboards have the digits behind Shift
  const isLatin = /^[\u0020-\u024f]$/.test(key);
  if (/^Key[A-Z]$/.test(code)) return isLatin ? "" : code[3].toLowerCase();
  if (shiftKey) return isLatin ? "" : SHIFTED[code];
  return PLACES[code] ?? "";
}

// The overlay that lists the keys; Escape and its button close it.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog).showModal();
});

// What may be pressed now. A disclosure that is closed hides its keys, too.
function reachable() {
  return [...document.querySelectorAll("[data-key], [data-cycle]")].filter((element) => {
    const shut = element.closest("details:not([open])");
    const isShown = !shut || element.closest("summary")?.parentElement === shut;
    return isShown && !element.disabled && (element.dataset.go || element.getClientRects().length);
  });
}

function targetOf(event) {
  const isAltGr = event.getModifierState("AltGraph") || (event.ctrlKey && event.altKey);
  const isSign = event.key.length === 1 && !/[a-z0-9]/i.test(event.key);
  if (event.metaKey || (event.ctrlKey && !isAltGr) || (event.altKey && !isAltGr && !isSign)) return null;
  const elements = reachable();
  const has = (sign) => sign && elements.find(({ dataset }) => (dataset.key ?? dataset.cycle).toLowerCase() === sign);
  return has(event.key.toLowerCase()) || (!isAltGr && !event.altKey && has(byPlace(event))) || null;
}

function press(target) {
  if (target.dataset.cycle) return nextOf(target);
  if (target.dataset.go) {
    target.closest("details")?.setAttribute("open", "");
    return document.getElementById(target.dataset.go)?.focus();
  }
  const radio = target.matches("label") && target.control;
  if (radio) return choose(radio, !radio.checked);
  if (!target.matches("[data-view]")) target.focus({ preventScroll: true });
  target.click();
}

function choose(radio, isChosen) {
  radio.checked = isChosen;
  radio.dispatchEvent(new Event("change", { bubbles: true }));
}

function nextOf(fieldset) {
  const radios = [...fieldset.querySelectorAll("input[type=radio]")];
  const now = radios.findIndex((radio) => radio.checked);
  choose(radios[(Math.max(now, 0) + 1) % radios.length], true);
}

function leaveField(field) {
  field.blur();
  document.querySelector("#case h1")?.focus({ preventScroll: true });
}

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  const field = event.target.closest("textarea, select, input:not([type=radio], [type=checkbox])");
  if (field) {
    const isDone = event.key === "Escape" || (event.key === "Enter" && (field.matches("select") || event.ctrlKey));
    if (!isDone || event.isComposing) return;
    event.preventDefault();
    leaveField(field);
    if (event.ctrlKey) document.querySelector("#case [data-chosen]")?.click();
    return;
  }
  if (event.key.length > 1 && !["Enter", "Escape", "Process", "Dead", "Unidentified"].includes(event.key)) return;
  event.stopPropagation(); // page.js has the keys of other pages
  if (event.repeat) return event.preventDefault();
  if (event.key === "Enter") return confirm(event);
  const target = targetOf(event);
  if (!target) return;
  event.preventDefault();
  // While a question is open, an answer key is more likely a slip than an answer.
  if (document.querySelector("#case .quick") && target.matches("[name=answer], [data-skip]")) return;
  press(target);
}, true);

// Enter confirms wherever the focus is, except on another button or link: there it means that one.
function confirm(event) {
  const main = document.querySelector("#case [data-confirm]");
  const other = event.target.closest("a[href], button");
  if (!main || event.ctrlKey || event.metaKey || event.altKey) return;
  if (other && !other.closest("[data-viewer]")) return;
  event.preventDefault();
  main.click();
}
