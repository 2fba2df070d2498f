// What every page shares. Everything here only adds to a page that already works without it.
"use strict";

document.documentElement.classList.add("js");

// Keys: an element with data-key="c" is pressed by that key, unless the person is typing.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const typing = event.target.closest("textarea, select, input:not([type=radio], [type=checkbox], [type=button], [type=submit])");
  if (typing || document.querySelector("dialog[open]")) return;
  const target = [...document.querySelectorAll("[data-key]")].find(
    (element) => element.dataset.key.toLowerCase() === event.key.toLowerCase() && !element.disabled && element.getClientRects().length,
  );
  if (!target) return;
  event.preventDefault();
  target.focus();
  target.click();
});

// After a part of the page was replaced, the reading position moves to its headline.
document.addEventListener("htmx:afterSettle", (event) => {
  event.detail.elt.querySelector("[data-focus]")?.focus();
});

// A failed request says so; the page and what was typed stay as they are.
function say(text) {
  const notice = document.createElement("div");
  notice.className = "notice notice--error";
  notice.setAttribute("role", "alert");
  notice.textContent = text;
  document.getElementById("messages").replaceChildren(notice);
  notice.scrollIntoView({ block: "nearest" });
}

document.addEventListener("htmx:sendError", () => say("The server cannot be reached. Nothing was lost: check the connection and try again."));
document.addEventListener("htmx:timeout", () => say("The server took too long. Nothing was lost: try again."));
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  const words = {
    403: "You are not allowed to do this, or you were logged out. Log in again in another tab, then try again.",
    404: "This is no longer there. Reload the page.",
    409: "Somebody else was faster, or this has already been done. Reload the page.",
    413: "The file is too large. Send a smaller photo.",
    429: "Too many requests. Wait a minute, then try again.",
  };
  say(words[status] || `Something went wrong on the server (${status}). Try again; if it happens again, tell your administrator.`);
});

// A session that has ended answers with the login page: it must not land inside this one, and what was typed stays.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!new URL(event.detail.xhr.responseURL, location.href).pathname.startsWith("/accounts/login/")) return;
  event.preventDefault();
  say("You were logged out. Log in again in another tab, then try again here.");
});

// htmx notes the address of the page in the browser's storage; nothing of ours is kept there.
sessionStorage.clear();
for (const type of ["htmx:pushedIntoHistory", "htmx:replacedInHistory", "pagehide"]) {
  window.addEventListener(type, () => sessionStorage.clear());
}

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
