// What the browser refused while a passkey was used, in words.
"use strict";

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  showError("The passkey was not used. Try again, or use another way.");
});
