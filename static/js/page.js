// Shared by every page. Progressive enhancement only: every page works without it.
"use strict";

document.documentElement.classList.add("js");

// Keys: an element with data-key="c" is clicked when that key is pressed, unless the user is typing.
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

// On a phone the pages of a place stand in a strip: the current one is in sight.
(() => {
  const strip = document.querySelector(".place");
  const current = strip?.querySelector("[aria-current]");
  if (current) strip.scrollLeft = current.offsetLeft - (strip.clientWidth - current.offsetWidth) / 2;
})();

// After a part of the page is replaced, focus moves to its first wrong field, else to its headline.
const firstWrong = (part) => [...part.querySelectorAll("[aria-invalid=true]")].find((input) => input.getClientRects().length);
document.addEventListener("htmx:afterSettle", (event) => {
  const part = event.detail.elt;
  (firstWrong(part) || part.querySelector("[data-focus]"))?.focus();
});
firstWrong(document)?.focus();

// What was said about a field's last value is taken away as soon as the value changes.
for (const type of ["input", "change"]) {
  document.addEventListener(type, (event) => {
    const field = event.target.closest(".field");
    for (const input of field?.querySelectorAll("[aria-invalid=true]") || []) input.removeAttribute("aria-invalid");
    for (const error of field?.querySelectorAll(".field__error, [data-field-error]") || []) error.remove();
  });
}

// Show an error above the page; the page and its form values stay as they are.
function showError(text) {
  const notice = document.createElement("div");
  notice.className = "notice notice--error";
  notice.setAttribute("role", "alert");
  notice.textContent = text;
  document.getElementById("messages").replaceChildren(notice);
  notice.scrollIntoView({ block: "nearest" });
}

document.addEventListener("htmx:sendError", () => showError("Cannot reach the server. Nothing was lost: check your connection and try again."));
document.addEventListener("htmx:timeout", () => showError("The server took too long. Nothing was lost: try again."));
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  const messages = {
    403: "You do not have permission, or you were logged out. Log in again in another tab, then try again.",
    404: "This no longer exists. Reload the page.",
    409: "Someone else was faster, or this was already done. Reload the page.",
    413: "The file is too large. Send a smaller photo.",
    429: "Too many requests. Wait a minute, then try again.",
  };
  showError(messages[status] || `Something went wrong on the server (${status}). Try again. If it happens again, tell your administrator.`);
});

// An expired session answers with the login page: do not swap it into this page, and keep the form values.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!new URL(event.detail.xhr.responseURL, location.href).pathname.startsWith("/accounts/login/")) return;
  event.preventDefault();
  showError("You were logged out. Log in again in another tab, then try again here.");
});

// htmx writes the page's address into sessionStorage. Clear it: a shared computer must keep nothing of this site.
sessionStorage.clear();
for (const type of ["htmx:pushedIntoHistory", "htmx:replacedInHistory", "pagehide"]) {
  window.addEventListener(type, () => sessionStorage.clear());
}

// Submit a form once, even if its button is clicked again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Two minutes before an idle session ends, say so; one press of "Stay signed in" renews it. What has been typed stays.
(() => {
  const { idle, stay } = document.body.dataset;
  if (!idle) return;
  const warnAfter = Math.max(idle * 60_000 - 120_000, 30_000);
  let timer;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(warn, warnAfter);
  };
  const renew = async (event) => {
    event.target.closest(".notice").remove();
    const answer = await fetch(stay, { method: "POST", redirect: "manual", headers: { "HX-Request": "true", ...JSON.parse(document.body.getAttribute("hx-headers")) } });
    if (answer.status === 204) wait();
    else showError("You were logged out. Log in again in another tab, then try again here.");
  };
  const warn = () => {
    const notice = document.createElement("div");
    notice.className = "notice notice--warning";
    notice.setAttribute("role", "alert");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button";
    button.textContent = "Stay signed in";
    button.addEventListener("click", renew);
    notice.append("You will be signed out in two minutes. ", button);
    document.getElementById("messages").replaceChildren(notice);
    button.focus();
  };
  document.addEventListener("htmx:afterRequest", (event) => event.detail.requestConfig.verb !== "get" && wait());
  wait();
})();
