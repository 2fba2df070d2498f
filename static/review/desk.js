// What keeps a reader at work: drafts, the lease, two tabs of one case, a lost connection, and a session that has ended.
"use strict";

const RENEW_EVERY = 120_000;
const desk = the("[data-desk]");
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("review") : null; // messages in memory, nothing stored
let sending = null; // the form, and the button, of the answer that is on its way or did not arrive
let isSecondTry = false;

// Drafts: what is typed is kept by the server, for this reader alone.
function draft() {
  const form = the("#case [data-draft]");
  if (!form) return null;
  return { at: form.dataset.draft, body: new FormData(form) };
}
let draftTimer = 0;
document.addEventListener("input", (event) => {
  if (!event.target.closest("[data-draft]")) return;
  clearTimeout(draftTimer);
  draftTimer = setTimeout(saveDraft, 600);
});
document.addEventListener("change", (event) => event.target.closest("[data-draft]") && saveDraft());
function saveDraft() {
  clearTimeout(draftTimer);
  draftTimer = 0;
  const typed = draft();
  if (typed) fetch(typed.at, { method: "POST", body: typed.body }).then(check).catch(() => {});
}

// The lease is renewed while the page is open, and ends soon after it is closed: then another tab of the case renews it.
const renew = () => {
  const { renew: at } = the("#case")?.dataset ?? {};
  return at ? fetch(at, { method: "POST", body: tokened() }).then(check) : Promise.resolve();
};
setInterval(() => {
  if (!document.hidden) renew().then(lookAhead).catch(() => {});
}, RENEW_EVERY);
window.addEventListener("pagehide", () => {
  const { leave, case: shown } = the("#case")?.dataset ?? {};
  const typed = draftTimer ? draft() : null;
  if (typed) navigator.sendBeacon(typed.at, typed.body);
  if (leave) navigator.sendBeacon(leave, tokened());
  tabs?.postMessage({ left: shown });
});
tabs?.addEventListener("message", ({ data }) => {
  const shown = the("#case")?.dataset.case;
  if (data.left === shown) setTimeout(() => renew().catch(() => {}), 500);
  if (data.answered === shown && !sending) location.reload();
});

// Answers on their way.
document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (detail.target?.id !== "case") return;
  clearTimeout(draftTimer);
  draftTimer = 0;
  if (detail.requestConfig.verb === "post") sending = { form: detail.elt, button: detail.requestConfig.triggeringEvent?.submitter, shown: the("#case").dataset.case };
});
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target?.id !== "case") return;
  if (sending && the("#case").dataset.case !== sending.shown) tabs?.postMessage({ answered: sending.shown });
  sending = null;
  isSecondTry = false;
});
function sendAgain() {
  if (!sending?.form.isConnected) return;
  const { form, button } = sending;
  the("#messages").replaceChildren();
  form.dataset.resent = ""; // the time that it took to read stays as it was
  document.dispatchEvent(new Event("desk:failed"));
  if (button) button.click();
  else form.requestSubmit();
}

// The connection is lost: say what is not stored, and send it when it is back.
for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    if (event.detail.target?.id !== "case" && event.detail.elt?.closest("#case") === null) return;
    event.stopPropagation();
    document.dispatchEvent(new Event("desk:failed"));
    const words = sending?.button?.value ? `Your answer (${sending.button.firstChild.textContent.trim().toLowerCase()}) is not stored yet.` : "Nothing was lost.";
    const again = document.createElement("button");
    again.type = "button";
    again.className = "button";
    again.textContent = "Try again";
    again.addEventListener("click", sendAgain);
    tell("offline", `No connection. ${words} It is sent again when the connection is back.`, again);
  }, true);
}
window.addEventListener("online", () => the(".notice--offline") && sendAgain());

function tell(kind, words, ...more) {
  const notice = document.createElement("div");
  notice.className = `notice notice--warning notice--${kind}`;
  notice.setAttribute("role", "alert");
  notice.append(words, " ", ...more);
  the("#messages").replaceChildren(notice);
}

// The session has ended, or its token has changed because somebody signed in again in another tab.
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status >= 400) document.dispatchEvent(new Event("desk:failed"));
  if (event.detail.xhr.status !== 403 || isSecondTry) return;
  event.stopPropagation();
  isSecondTry = true;
  recover();
}, true);
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!isSignIn(event.detail.xhr.responseURL)) return;
  event.preventDefault();
  event.stopPropagation();
  document.dispatchEvent(new Event("desk:failed"));
  recover();
}, true);

const isSignIn = (address) => new URL(address, location.href).pathname.startsWith(desk.dataset.login);

// A response to a quiet request: is this reader still signed in?
function check(response) {
  if (isSignIn(response.url) || response.status === 403) recover();
  return response;
}

let recovering = null;
function recover() {
  recovering ??= takeToken().then((isIn) => {
    if (isIn) sendAgain();
    else if (!the("#sign-in").open) the("#sign-in").showModal();
  }).catch(() => {}).finally(() => { recovering = null; });
  return recovering;
}

// Take over the token of the session as it is now; false where this reader is not signed in.
async function takeToken() {
  const answer = await fetch(desk.dataset.tokenAt, { cache: "no-store" });
  if (isSignIn(answer.url) || !answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const own = page.querySelector("[data-token-of]");
  if (own?.dataset.tokenOf !== desk.dataset.user) return false;
  const token = own.querySelector("[name=csrfmiddlewaretoken]").value;
  for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
  document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRFToken": token }));
  following = []; // their screens hold the old token
  return true;
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-sign-in]");
  if (!form) return;
  event.preventDefault();
  const password = the("#sign-in-password");
  const said = await signIn(password.value).catch(() => "No connection. Try again.");
  password.value = "";
  if (!said && await takeToken().catch(() => false)) return goOn();
  the("[data-sign-in-error]").hidden = false;
  the("[data-sign-in-error]").textContent = said || "Sign in another way.";
  password.focus();
});

// Sign in by the form of the sign-in page; returns what to tell the reader, "" when it worked.
async function signIn(password) {
  const page = new DOMParser().parseFromString(await (await fetch(desk.dataset.login)).text(), "text/html");
  const token = page.querySelector("[name=csrfmiddlewaretoken]")?.value;
  if (!token) return ""; // signed in already, in another tab
  const body = new URLSearchParams({ csrfmiddlewaretoken: token, login: desk.dataset.user, password });
  const answer = await fetch(desk.dataset.login, { method: "POST", body });
  if (answer.status === 429) return "Too many attempts. Wait a minute, then try again.";
  if (isSignIn(answer.url)) return "The password is wrong. Try again.";
  if (new URL(answer.url).pathname.includes("second-factor")) return "This account needs a second step. Sign in another way.";
  return "";
}

function goOn() {
  the("#sign-in").close();
  if (sending) sendAgain();
  else saveDraft();
  renew().catch(() => {});
}

// Signed in again in another tab: go on as soon as the reader is back here.
document.addEventListener("visibilitychange", async () => {
  if (!document.hidden && the("#sign-in").open && await takeToken().catch(() => false)) goOn();
});
