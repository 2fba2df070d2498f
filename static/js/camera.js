// The camera inside the upload page: a live picture with a framing ring, and hints before the photo is taken.
// The plain file input beside it always works; the button appears only where the browser has a camera to offer.
"use strict";

const HINT_EVERY = 500; // ms
const BEST = { facingMode: { ideal: "environment" }, width: { ideal: 4096 }, height: { ideal: 3072 } };
const BLOCKED = {
  NotAllowedError: "The camera is blocked for this page. Allow it in the browser, or choose a photo instead.",
  NotReadableError: "Another program uses the camera. Close it and try again, or choose a photo instead.",
};

async function offerCamera() {
  const drop = document.querySelector("[data-drop]");
  const open = drop?.querySelector("[data-camera-open]");
  if (!open || drop.dataset.camera || !navigator.mediaDevices?.getUserMedia) return;
  drop.dataset.camera = "1";
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  if (!devices.some((device) => device.kind === "videoinput")) return;
  open.hidden = false;
  open.addEventListener("click", () => watch(drop));
  prepareDialog(drop);
}

function prepareDialog(drop) {
  const dialog = drop.querySelector("[data-camera]");
  dialog.addEventListener("close", () => stop(dialog));
  dialog.querySelector("[data-camera-close]").addEventListener("click", () => dialog.close());
  dialog.querySelector("[data-camera-shoot]").addEventListener("click", () => shoot(drop));
}

async function watch(drop) {
  const dialog = drop.querySelector("[data-camera]");
  const video = dialog.querySelector("video");
  const [hint, button] = [dialog.querySelector("[data-camera-hint]"), dialog.querySelector("[data-camera-shoot]")];
  hint.textContent = "Starting the camera ...";
  button.disabled = true;
  dialog.showModal();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: BEST, audio: false });
    video.srcObject = stream;
    if (!dialog.open) return stop(dialog); // closed while the browser asked
    await video.play();
  } catch (error) {
    dialog.close();
    showHint(drop, BLOCKED[error.name] || "The camera cannot be used here. Choose a photo instead.");
    return;
  }
  button.disabled = false;
  button.focus();
  const look = () => {
    const advice = photoHints.advise(photoHints.measure(video, video.videoWidth, video.videoHeight));
    const words = advice[0] || "Looks good. Hold still and take the photo.";
    if (hint.textContent !== words) hint.textContent = words; // a screen reader says it once
    dialog.classList.toggle("camera--ready", !advice.length);
  };
  look();
  dialog.dataset.timer = setInterval(look, HINT_EVERY);
}

function stop(dialog) {
  clearInterval(dialog.dataset.timer);
  const video = dialog.querySelector("video");
  for (const track of video.srcObject?.getTracks() || []) track.stop();
  video.srcObject = null;
}

// The whole frame becomes the photo, as if it had been chosen: the ring only helps to frame it.
async function shoot(drop) {
  const dialog = drop.querySelector("[data-camera]");
  const video = dialog.querySelector("video");
  const frame = document.createElement("canvas");
  [frame.width, frame.height] = [video.videoWidth, video.videoHeight];
  frame.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => frame.toBlob(resolve, "image/jpeg", 0.95));
  const files = new DataTransfer();
  files.items.add(new File([blob], "camera.jpg", { type: "image/jpeg" }));
  const input = drop.querySelector("input[type=file]:not([capture])");
  input.files = files.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  drop.querySelector("[data-camera-words]").textContent = "Take it again";
  dialog.close();
}

offerCamera();
document.addEventListener("htmx:afterSettle", offerCamera);
window.addEventListener("pagehide", () => document.querySelector("[data-camera][open]")?.close());
